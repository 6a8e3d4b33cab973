"""`slipway whoami`, `token` and `project`."""

from __future__ import annotations

from slipway.cli.context import Commands, Context, command, group


def add(commands: Commands) -> None:
    command(commands, "whoami", whoami, "show whose token this is", "slipway whoami")
    tokens = group(commands, "token", "tokens: who may do what")
    making = command(
        tokens,
        "create",
        create_token,
        "make a token; it is shown this once",
        "slipway token create --role read --note dashboard",
    )
    making.add_argument("--role", choices=("admin", "write", "read"), default="write")
    making.add_argument("--note", default="", help="what it is for")
    making.add_argument("--owner", help="[your own]")
    listing = command(tokens, "list", list_tokens, "list tokens", "slipway token list")
    listing.add_argument("--owner", help="[your own]")
    revoking = command(tokens, "revoke", revoke, "revoke a token", "slipway token revoke ID")
    revoking.add_argument("token", metavar="ID", help="its id, as `token list` shows it")
    revoking.add_argument("--owner", help="[your own]")
    projects = group(commands, "project", "projects")
    creating = command(
        projects, "create", create_project, "create a project", "slipway project create vision"
    )
    creating.add_argument("name", metavar="NAME")
    creating.add_argument("--owner", help="[your own]")
    command(projects, "list", list_projects, "list projects", "slipway project list")


async def whoami(context: Context) -> None:
    me = await context.client.whoami()
    settings = context.client.settings
    context.out.fields(
        me,
        [
            ("owner", me.owner),
            ("role", me.role),
            ("project", settings.project),
            ("api", settings.url),
            ("router", me.router_url),
        ],
    )


async def create_token(context: Context) -> None:
    args = context.args
    made = await context.client.create_token(owner=args.owner, role=args.role, note=args.note)
    context.out.fields(
        made, [("token", made.token), ("id", made.id), ("owner", made.owner), ("role", made.role)]
    )
    context.out.say("keep it safe: it can't be shown again")


async def list_tokens(context: Context) -> None:
    context.out.rows(
        await context.client.tokens(context.args.owner),
        ("id", "role", "note", "created", "expires", "revoked"),
        lambda t: (t.id, t.role, t.note, t.created_at, t.expires_at, t.revoked_at),
    )


async def revoke(context: Context) -> None:
    args = context.args
    await context.client.revoke_token(args.token, args.owner)
    context.out.value({"revoked": args.token}, lambda: context.out.line(f"revoked {args.token}"))


async def create_project(context: Context) -> None:
    made = await context.client.create_project(context.args.name, context.args.owner)
    context.out.fields(made, [("project", made.path), ("created", made.created_at)])
    context.out.say(f"use it with --project {made.path} or SLIPWAY_PROJECT")


async def list_projects(context: Context) -> None:
    context.out.rows(
        await context.client.projects(),
        ("project", "created"),
        lambda project: (project.path, project.created_at),
    )
