# Starts RabbitMQ with its messages in /data; PASSWORD is that of the user slipway, the only one.
set -eu
for folder in /opt/rabbitmq/sbin /usr/lib/rabbitmq/bin; do
    [ ! -x "$folder/rabbitmq-server" ] || PATH="$folder:$PATH"
done

cat >/tmp/rabbitmq.conf <<EOF
listeners.tcp.default = 5672
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 100MB
vm_memory_high_watermark.absolute = 384MB
load_definitions = /tmp/definitions.json
EOF
cat >/tmp/definitions.json <<EOF
{"vhosts": [{"name": "/"}],
 "users": [{"name": "slipway", "password": "$PASSWORD", "tags": ["administrator"]}],
 "permissions": [{"user": "slipway", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}
EOF
chmod 600 /tmp/definitions.json
echo '[].' >/tmp/enabled_plugins
: >/tmp/environment

# the node speaks to nobody but itself; its name must stay, for its data has it
export HOME=/data RABBITMQ_NODENAME=rabbit@localhost
export ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_MNESIA_BASE=/data/node RABBITMQ_LOG_BASE=/tmp
export RABBITMQ_CONFIG_FILE=/tmp/rabbitmq.conf RABBITMQ_CONF_ENV_FILE=/tmp/environment
export RABBITMQ_ENABLED_PLUGINS_FILE=/tmp/enabled_plugins RABBITMQ_PID_FILE=/tmp/pid
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+sbwt none -kernel inet_dist_use_interface {127,0,0,1}'
exec rabbitmq-server
