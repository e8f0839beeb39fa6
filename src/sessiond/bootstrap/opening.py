"""Opening a deployment: directories, keys, store and witness are brought together, or the start is refused.

A server and a command beside it open in the same way; only a server draws a new epoch and plants seeds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import msgspec

from sessiond.bootstrap.machine import Counters, SystemClock, SystemEntropy, step_back, usable_cores
from sessiond.bootstrap.wrapping_keys import WrappingKeys, opens
from sessiond.config.loading import Loaded
from sessiond.config.secret_files import (
    KEY_NAME,
    MASTER_TOKEN_NAME,
    SERVER_KEY_NAME,
    SecretFiles,
    make_private_directory,
)
from sessiond.config.secrets import KEY_BYTES, GivenSecret, decode_key, encode_key
from sessiond.config.settings import Settings
from sessiond.crypto.purposes import Purpose
from sessiond.crypto.ring import KeyRing
from sessiond.crypto.secrets import Secret, SecretKind, mint_secret
from sessiond.domain.errors import Misconfigured
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import SESSIOND
from sessiond.domain.projects import Deployment
from sessiond.domain.rules import Rules
from sessiond.domain.startup import Found, Start, Witness, decide, require_startable
from sessiond.services.bundle import Services
from sessiond.services.keys import Keys
from sessiond.services.ports import KeyWrapper, Store
from sessiond.services.recovery import Birth, find_deployment, make_deployment, recovered_since
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store

_PASSWORD = re.compile(r"(://[^/@:]*):[^?]*@")


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that is open. *witnessed* tells whether there is a witness to keep (memory has none)."""

    loaded: Loaded
    files: SecretFiles
    wrapping_keys: WrappingKeys
    store: Store
    clock: SystemClock
    entropy: SystemEntropy
    counters: Counters
    services: Services
    start: Start
    witnessed: bool

    @property
    def settings(self) -> Settings:
        """The effective settings."""
        return self.loaded.settings

    async def close(self) -> None:
        """Write what was noted, and let go of the store."""
        try:
            await self.services.touches.flush()
        finally:
            await self.store.close()


async def open_deployment(loaded: Loaded, role: Role, *, begin: bool = True) -> Opened:
    """Open the deployment that *loaded* names; where nothing is there yet, make it, or refuse unless *begin*.

    Raises `Misconfigured`, in one sentence, when it cannot be opened as it is.
    """
    os.umask(0o077)
    settings = loaded.settings
    if not settings.secrets_directory.is_dir():
        _require_beginning(settings, begin=begin)
    make_private_directory(settings.data_dir)
    files = SecretFiles(settings.secrets_directory)
    files.make()
    witnessed = not settings.database_url.startswith("memory:")
    witness = files.read_witness() if witnessed else None
    wrapping_keys = WrappingKeys(loaded, files)
    cache = settings.cache
    store = await open_store(
        settings.database_url, role=role, cache_records=cache.records, max_staleness=cache.max_staleness
    )
    try:
        start, wrapping_key = await _decide(store, witness, wrapping_keys, settings)
        if start is Start.FIRST:
            _require_beginning(settings, begin=begin)
            # A next one is for later, and what a key service keeps the key of is drawn anew.
            wrapping_key = None if settings.key_service else wrapping_keys.present()
        return await _assemble(
            loaded, files, store, wrapping_key, wrapping_keys=wrapping_keys, start=start, witnessed=witnessed
        )
    except BaseException:
        await store.close()
        raise


def without_password(url: str) -> str:
    """Return a database URL that can be shown."""
    return _PASSWORD.sub(r"\1:…@", url)


def _require_beginning(settings: Settings, *, begin: bool) -> None:
    if not begin:
        raise Misconfigured(
            f"There is no installation in {settings.data_dir.absolute()}: `sessiond serve` makes one; if it is "
            "elsewhere, give its --data-dir (and --database, --secrets-dir)"
        )


async def _decide(
    store: Store, witness: Witness | None, wrapping_keys: WrappingKeys, settings: Settings
) -> tuple[Start, bytes | None]:
    """Return what the start means, and the wrapping key to go on with: the one that opens the ring, else the first."""
    deployment = await find_deployment(store)
    recorded = None
    if deployment is not None:
        recorded = Witness(
            install_id=deployment.install_id, epoch=deployment.epoch, newest_event=await store.newest_event()
        )
    keys = wrapping_keys.found(deployment)
    opening = [key for key in keys if deployment is not None and opens(deployment, key)]
    found = Found(
        recorded=recorded,
        witness=witness,
        has_key=bool(keys),
        opens=bool(opening),
        departed=None if deployment is None else deployment.departed,
        arriving=None if deployment is None else deployment.arriving,
    )
    start = decide(found)
    if start is Start.OTHER_EPOCH and witness is not None:
        recovered = await recovered_since(store, witness.newest_event)
        start = decide(msgspec.structs.replace(found, recovered=recovered))
    require_startable(
        start,
        database=without_password(settings.database_url),
        secrets=str(settings.secrets_directory),
        elsewhere=found.departed.to if found.departed else "",
    )
    return start, next(iter((*opening, *keys)), None)


async def _assemble(
    loaded: Loaded,
    files: SecretFiles,
    store: Store,
    key: bytes | None,
    *,
    wrapping_keys: WrappingKeys,
    start: Start,
    witnessed: bool,
) -> Opened:
    clock, entropy, counters = SystemClock(), SystemEntropy(), Counters()
    if start is Start.FIRST:
        birth = _prepare_birth(loaded, files, key, wrapping_keys.service, entropy)
        made = await make_deployment(store, clock, entropy, birth)
        key = _require_born(made, wrapping_keys, loaded, files, birth)
        deployment: Deployment | None = made
    else:
        deployment = await find_deployment(store)
    if deployment is None or key is None:
        raise Misconfigured("The deployment record vanished while the server was starting: start again")
    keys = Keys(store, clock, wrapping_key=key, deployment=deployment, others=wrapping_keys.others)
    services = Services(
        store=store,
        keys=keys,
        clock=clock,
        entropy=entropy,
        observer=counters,
        keeper=files,
        rules=_for_this_machine(loaded.settings.rules),
        base_url=loaded.settings.base_url,
        begin_hashing_thread=step_back,
    )
    opened = Opened(
        loaded=loaded,
        files=files,
        wrapping_keys=wrapping_keys,
        store=store,
        clock=clock,
        entropy=entropy,
        counters=counters,
        services=services,
        start=start,
        witnessed=witnessed,
    )
    if start is Start.FIRST and witnessed:
        files.write_witness(await services.recovery.witness())
    return opened


def _for_this_machine(rules: Rules) -> Rules:
    """Return *rules* with no more hashes at once than there are cores for: two on one would only slow each other."""
    threads = min(rules.pin.hashing_threads, usable_cores())
    return msgspec.structs.replace(rules, pin=msgspec.structs.replace(rules.pin, hashing_threads=threads))


def _prepare_birth(
    loaded: Loaded, files: SecretFiles, key: bytes | None, wrapper: KeyWrapper | None, entropy: SystemEntropy
) -> Birth:
    # A first start that was interrupted left files behind; they are used, so that it can simply be repeated.
    if wrapper is not None:
        key = entropy.bytes(KEY_BYTES)
    elif key is None:
        drawn = files.add(KEY_NAME, Secret(encode_key(entropy.bytes(KEY_BYTES))))
        key = decode_key(drawn.reveal(), where=str(files.path(KEY_NAME)))

    def given_or_made(given: GivenSecret | None, name: str, kind: SecretKind) -> Secret:
        if given is not None:
            return given.secret
        return files.add(name, Secret(mint_secret(kind, entropy.bytes(32))))

    secrets = loaded.secrets
    return Birth(
        wrapping_key=key,
        server_key=given_or_made(secrets.server_key, SERVER_KEY_NAME, SecretKind.SERVER_KEY),
        seeded=secrets.server_key is not None,
        master_token=given_or_made(secrets.master_token, MASTER_TOKEN_NAME, SecretKind.MASTER_TOKEN),
        wrapper=wrapper,
    )


def _require_born(
    deployment: Deployment, wrapping_keys: WrappingKeys, loaded: Loaded, files: SecretFiles, birth: Birth
) -> bytes:
    """Return the wrapping key that opens the ring.

    Raises `Misconfigured` when another node made the installation meanwhile, with secrets that are not ours. The server
    key and the master token that this one made open nothing, and nobody shall find them.
    """
    key = birth.wrapping_key if birth.wrapper is None else wrapping_keys.opening(deployment)
    if key is not None and opens(deployment, key):
        ring = KeyRing.unseal(deployment.ring, key, deployment.install_id)
        ours = ring.lookup(Purpose.LOOKUP_MASTER_TOKEN, DEFAULT_PROJECT, birth.master_token.reveal())
        if ours == deployment.master_digest:
            return key
    for given, name in (
        (loaded.secrets.server_key, SERVER_KEY_NAME),
        (loaded.secrets.master_token, MASTER_TOKEN_NAME),
    ):
        if given is None:
            files.discard(name)
    raise Misconfigured(
        "Another node made this installation at the same moment, and its server key and master token count: give "
        "this one the same wrapping key (SESSIOND_KEY, or key_service), and start it again"
    )


Say = Callable[[str], None]


async def settle_server(opened: Opened, say: Say) -> None:
    """Do what only a server's start does: end every session of a database that is behind, and plant the seeds.

    *say* is told, in one line each, what the operator must know. Raises `Misconfigured` for a seed that is refused.
    """
    services, secrets = opened.services, opened.loaded.secrets
    recovery = services.recovery
    if opened.start in {Start.BEHIND, Start.OTHER_EPOCH}:
        await recovery.recover(by=SESSIOND, reason="the database was behind its witness")
        say(
            "The database is behind what the witness last saw (a restored backup, or another copy of it): "
            "every session has been ended, so that none that was revoked since comes back."
        )
    if opened.start is Start.UNWITNESSED and opened.witnessed:
        say(
            f"There was no witness in {opened.files.directory}: one is kept from now on. If the database was restored "
            "from a backup, run `sessiond recover`."
        )
    if secrets.master_token is not None:
        recovery.check_master_seed(secrets.master_token.secret)
    if secrets.server_key is not None:
        changed = await recovery.seed_server_key(services.server_keys, secrets.server_key.secret)
        if changed and opened.start is not Start.FIRST:
            say(
                "SESSIOND_SERVER_KEY is new: it is accepted from now on, and the former seeded key is revoked."
            )
    if opened.settings.key_service is not None and services.keys.deployment.wrapped_key is None:
        say("The wrapping key is not in the hands of key_service yet: run `sessiond keys rewrap`.")
    publishable = secrets.publishable_client_key
    await recovery.set_publishable_key(services.projects, publishable.secret if publishable else None)
    if opened.witnessed:
        opened.files.write_witness(await recovery.witness())
