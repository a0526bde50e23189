"""`target.control`: how the run gets hold of the nodes, to kill, stop and heal them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from loadgen.scenario.base import Strict, Text, malformed

ControlKind = Literal["local", "compose", "kubernetes"]
CONTROL_KINDS: tuple[ControlKind, ...] = ("local", "compose", "kubernetes")

NodeName = Annotated[Text, Field(min_length=1)]


class Kubernetes(Strict):
    """Nodes as pods, reached by `kubectl`."""

    namespace: Annotated[Text, Field(min_length=1)]
    """Namespace of the pods."""
    pods: Annotated[tuple[NodeName, ...], Field(min_length=1)]
    """The pods, in the order of `uris`."""
    context: Text | None = None
    """Context of kubectl's configuration; the current one when left out."""
    container: Text | None = None
    """Container of RabbitMQ in the pods; the default one when left out."""


class Control(Strict):
    """Exactly one of `local`, `compose` and `kubernetes`."""

    local: Text | None = None
    """Folder of a cluster that `loadgen cluster up` started."""
    compose: Text | None = None
    """Compose file of the nodes."""
    project: Text | None = None
    """`compose`: its project name; compose's choice when left out."""
    services: tuple[NodeName, ...] = ()
    """`compose`: the services, in the order of `uris`."""
    kubernetes: Kubernetes | None = None
    """Pods of a Kubernetes cluster."""

    @model_validator(mode="after")
    def _one_kind(self) -> Control:
        kinds = [kind for kind in CONTROL_KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            has = " and ".join(kinds) or "none"
            raise malformed(
                f"needs exactly one of local, compose and kubernetes, and has {has}",
                "write for example control: {local: .loadgen/cluster}",
            )
        if self.compose is None and (self.project is not None or self.services):
            raise malformed("project and services belong to compose", "remove them")
        if self.compose is not None and not self.services:
            raise malformed("no services are named", "add services: [rmq1, rmq2, rmq3], in the order of uris")
        return self

    @property
    def kind(self) -> ControlKind:
        """Which of the three this is."""
        return next(kind for kind in CONTROL_KINDS if getattr(self, kind) is not None)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of services or pods; empty for a local cluster, whose folder knows them."""
        if self.kubernetes is not None:
            return self.kubernetes.pods
        return self.services

    @property
    def where(self) -> str:
        """The key that names the nodes."""
        return {"compose": "services", "kubernetes": "pods"}.get(self.kind, "local")
