#!/bin/sh
# Compiles Kubernetes 1.20 from Debian's source package: `build.sh FOLDER` puts five programs into FOLDER/bin.
# 5 to 9 minutes on two cores, 3 GB of disk while it runs. Needs root, and what `programs.py` installs.
set -eu
home=$1 src=$1/src
programs="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy"
say() { echo "setup: kubernetes: $*" >&2; }

rm -rf "$src" && mkdir -p "$src/apt/lists/partial" "$src/apt/cache" "$home/bin" && cd "$src"
say "fetching its source"
# a configuration of apt of its own, since only this needs source packages
what='Created-By: Packages'
uri=$(apt-get indextargets --format '$(REPO_URI)' "$what" 'Codename: bookworm' | head -n 1)
[ -n "$uri" ] || { apt-get -qq update && uri=$(apt-get indextargets --format '$(REPO_URI)' "$what" 'Codename: bookworm' | head -n 1); }
[ -n "$uri" ] || { say "this machine has no packages of Debian 12"; exit 1; }
echo "deb-src $uri bookworm main" >apt/sources.list
apt() {
    apt-get -qq -o APT::Sandbox::User=root -o Dir::State::Lists="$src/apt/lists" -o Dir::Etc::SourceList="$src/apt/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::Cache="$src/apt/cache" "$@" >/dev/null
}
apt update && apt source --download-only kubernetes
dpkg-source -x --no-check kubernetes_*.dsc tree >/dev/null && cd tree

# the reflect2 in it is older than Go 1.18 and crashes there; that of Debian does not
rm -rf vendor/github.com/modern-go/reflect2/*
cp /usr/share/gocode/src/github.com/modern-go/reflect2/* vendor/github.com/modern-go/reflect2/
git init -q . && mkdir -p .go/src/k8s.io && ln -sfn ../../.. .go/src/k8s.io/kubernetes
cat >../version <<V
KUBE_GIT_COMMIT=''
KUBE_GIT_TREE_STATE='clean'
KUBE_GIT_VERSION='v1.20.2'
KUBE_GIT_MAJOR='1'
KUBE_GIT_MINOR='20'
V
say "compiling it, which takes 5 to 9 minutes on two cores"
what=$(for name in $programs; do printf 'cmd/%s ' "$name"; done)
(while sleep 60; do say "still compiling: $(tail -n 1 "$home/build.log")"; done) &
telling=$!
trap 'kill "$telling" 2>/dev/null || :' EXIT
GOPATH=$PWD/.go GOCACHE=$src/cache CGO_ENABLED=0 KUBE_GIT_VERSION_FILE=$src/version DBG=1 \
    make WHAT="$what" >"$home/build.log" 2>&1 || { tail -n 20 "$home/build.log" >&2; exit 1; }
for name in $programs; do
    # whole or not at all
    cp "_output/bin/$name" "$home/bin/.$name" && mv "$home/bin/.$name" "$home/bin/$name"
done
cd / && rm -rf "$src"
say "compiled"
