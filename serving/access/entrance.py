"""The entrance of a server: certificates and callers, as the files say now."""

import logging
from pathlib import Path

import grpc

from serving.access.callers import Callers
from serving.access.certificates import certificates_of
from serving.access.declaration import AccessError, AccessFile
from serving.access.guard import Guard
from serving.access.protection import ProtectionError, check_protection
from serving.access.refusals import Refusals
from serving.metrics import Metrics
from serving.settings import ServingSettings

logger = logging.getLogger(__name__)


class Entrance:
    """Lets in whom the settings say. What is replaced by something with faults goes on."""

    def __init__(self, settings: ServingSettings, metrics: Metrics) -> None:
        """Reads all files; raises ProtectionError or AccessError."""
        check_protection(settings)
        self._metrics = metrics
        self._certificates = certificates_of(settings)
        self._show_expiry()
        self._file: AccessFile | None = None
        if settings.access:
            self._file = AccessFile(Path(settings.access), tenant=settings.tenant)
        self.guard = Guard(Refusals(metrics.refused))
        self._follow_file()

    def credentials(self) -> grpc.ServerCredentials | None:
        """What a port is opened with; None: plaintext."""
        return None if self._certificates is None else self._certificates.credentials()

    def refresh(self) -> None:
        """Takes into use what has changed. Blocks, and raises nothing."""
        try:
            if self._follow_file():
                logger.info("a new access file holds from now on")
        except AccessError as error:
            logger.error("who could call goes on, as the new access file has faults:\n%s", error)
        try:
            if self._certificates is not None and self._certificates.refresh():
                logger.info("new certificates hold from now on")
        except ProtectionError as error:
            logger.error("the certificates go on, as the new ones cannot be used: %s", error)
        self._show_expiry()

    def _follow_file(self) -> bool:
        declared = self._file.changed() if self._file is not None else None
        if declared is None:
            return False
        self.guard.callers = Callers(*declared, before=self.guard.callers)
        return True

    def _show_expiry(self) -> None:
        if self._certificates is not None:
            self._metrics.certificate_expiry_s(self._certificates.expiry_s)
