"""Feast's registry in a file that is whole at any moment: processes of one home start together."""

from pathlib import Path
from tempfile import TemporaryDirectory

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig


class WholeFileRegistryStore(FileRegistryStore):
    """Feast's own empties the file before it writes; who reads it just then finds a broken one."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        """Keeps the registry at the config's path, which is absolute."""
        super().__init__(registry_config, repo_path)
        self._config, self._path = registry_config, Path(registry_config.path)

    def update_registry_proto(self, registry_proto: Registry) -> None:
        """Writes beside the file, then takes its place."""
        with TemporaryDirectory(prefix=f"{self._path.name}.", dir=self._path.parent) as beside:
            written = Path(beside) / self._path.name
            config = self._config.model_copy(update={"path": str(written)})
            FileRegistryStore(config, Path()).update_registry_proto(registry_proto)
            written.replace(self._path)
