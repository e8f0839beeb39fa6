"""The native API below `/v1`: sessions as an application developer wants them."""

from __future__ import annotations

from sessiond.http.credentials import Credentials
from sessiond.http.dialect import Dialect
from sessiond.http.dialects.native.browser import BrowserAccounts
from sessiond.http.dialects.native.changing import ChangedSessions
from sessiond.http.dialects.native.claims import ProjectClaims
from sessiond.http.dialects.native.ending import EndedSessions
from sessiond.http.dialects.native.events import AuditEvents
from sessiond.http.dialects.native.exports import SubjectExports
from sessiond.http.dialects.native.forward_auth import ForwardAuth
from sessiond.http.dialects.native.health import Health
from sessiond.http.dialects.native.impersonating import ImpersonatedSubjects
from sessiond.http.dialects.native.jwks import KeySet
from sessiond.http.dialects.native.keys import ManagedKeys
from sessiond.http.dialects.native.linking import DeviceLinks
from sessiond.http.dialects.native.my_sessions import MySessions
from sessiond.http.dialects.native.own_session import OwnSession
from sessiond.http.dialects.native.policy import ProjectPolicy
from sessiond.http.dialects.native.requirements import refuse
from sessiond.http.dialects.native.sessions import ManagedSessions
from sessiond.http.dialects.native.stepping_up import SteppedUpSessions
from sessiond.http.dialects.native.subjects import ManagedSubjects
from sessiond.http.dialects.native.timeline import SessionTimelines
from sessiond.http.edge import Edge
from sessiond.http.problems import PROBLEM_MEDIA
from sessiond.services.bundle import Services


def dialect(services: Services, _edge: Edge) -> Dialect:
    """Return the native API over *services*."""
    credentials = Credentials(services.credentials)
    return Dialect(
        name="native",
        title="sessiond",
        description="Sessions, verified in microseconds and ended everywhere at once.",
        endpoints=(
            *ManagedSessions(services, credentials).endpoints(),
            *ChangedSessions(services, credentials).endpoints(),
            *SteppedUpSessions(services, credentials).endpoints(),
            *EndedSessions(services, credentials).endpoints(),
            *SessionTimelines(services, credentials).endpoints(),
            *ManagedSubjects(services, credentials).endpoints(),
            *SubjectExports(services, credentials).endpoints(),
            *ImpersonatedSubjects(services, credentials).endpoints(),
            *DeviceLinks(services, credentials).endpoints(),
            *OwnSession(services, credentials).endpoints(),
            *ForwardAuth(services, credentials).endpoints(),
            *MySessions(services, credentials).endpoints(),
            *BrowserAccounts(services, credentials).endpoints(),
            *ManagedKeys(services, credentials).endpoints(),
            *ProjectPolicy(services, credentials).endpoints(),
            *ProjectClaims(services, credentials).endpoints(),
            *AuditEvents(services, credentials).endpoints(),
            *KeySet(services).endpoints(),
            *Health(services).endpoints(),
        ),
        refuse=refuse,
        refusal_media=(PROBLEM_MEDIA,),
        prefixes=("/",),
    )
