"""What a run's tags can do to its pod: nothing. The chart's own configuration, given to dagster-k8s' own launcher."""

import json
from pathlib import Path
from types import SimpleNamespace

import kubernetes
import pytest
import yaml
from dagster import DagsterInstance
from dagster._config import process_config
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.test_utils import create_run_for_test, instance_for_test
from dagster_k8s import K8sRunLauncher

# What the chart renders with no values, held by test/unit.
RENDERED = Path(__file__).resolve().parents[3] / "test" / "unit" / "testdata" / "golden" / "default.yaml"


def configured() -> dict:
    """`run_launcher.config` of the chart's dagster.yaml."""
    for document in yaml.safe_load_all(RENDERED.read_text()):
        if document and (document["kind"], document["metadata"]["name"]) == ("ConfigMap", "dagster"):
            return yaml.safe_load(document["data"]["dagster.yaml"])["run_launcher"]["config"]
    raise AssertionError("the chart renders no ConfigMap dagster")


class Jobs:
    """The API server's part: keeps the Jobs that are created."""

    def __init__(self):
        self.created: list[kubernetes.client.V1Job] = []

    def create_namespaced_job(self, namespace, body, **_):
        self.created.append((namespace, body))


def origin(container_context: dict | None = None) -> JobPythonOrigin:
    return JobPythonOrigin("film", RepositoryPythonOrigin(
        executable_path="/usr/bin/python3", code_pointer=ModuleCodePointer("studio", "definitions"), container_image=None,
        entry_point=["dagster"], container_context=container_context))  # fmt: skip


class Launcher:
    """Launches runs by the chart's launcher."""

    def __init__(self, instance: DagsterInstance, config: dict):
        self.instance, self.config = instance, config
        self.jobs = Jobs()

    def __call__(self, tags: dict[str, str] | None = None, container_context: dict | None = None) -> dict:
        """The Job of a run with these tags, as the API server gets it, without what differs from run to run."""
        launcher = K8sRunLauncher.from_config_value(
            None, self.config | {"k8s_client_batch_api": self.jobs, "k8s_client_core_api": SimpleNamespace()})  # fmt: skip
        launcher.register_instance(self.instance)
        run = create_run_for_test(self.instance, job_name="film", tags=tags, job_code_origin=origin(container_context))
        launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        namespace, job = self.jobs.created[-1]
        text = json.dumps(kubernetes.client.ApiClient().sanitize_for_serialization(job) | {"in": namespace})
        return json.loads(text.replace(run.run_id, "RUN"))


@pytest.fixture(scope="module")
def module_launch():
    checked = process_config(K8sRunLauncher.config_type(), configured())
    assert checked.success, checked.errors
    with pytest.MonkeyPatch.context() as patch, instance_for_test() as instance:
        patch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)  # there is no cluster
        yield Launcher(instance, checked.value)


@pytest.fixture
def launch(module_launch):
    module_launch.jobs.created.clear()
    return module_launch


PRIVILEGED = {"securityContext": {"privileged": True, "runAsUser": 0}}
HOST = {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}
CONFIGS = {
    "container, privileged": {"container_config": PRIVILEGED},
    "container, in snake case": {"container_config": {"security_context": {"privileged": True}}},
    "container, image": {"container_config": {"image": "evil"}},
    "container, command": {"container_config": {"command": ["sh", "-c", "id"]}},
    "container, variables": {"container_config": {"env": [{"name": "STUDIO_DATABASE_URL", "value": "postgresql://evil"}]}},
    "container, all of a Secret": {"container_config": {"env_from": [{"secretRef": {"name": "ai-film"}}]}},
    "container, mounts": {"container_config": {"volumeMounts": [{"name": "images", "mountPath": "/"}]}},
    "pod, the node's files": {"pod_spec_config": HOST},
    "pod, account": {"pod_spec_config": {"serviceAccountName": "dagster-daemon", "automountServiceAccountToken": True}},
    "pod, the node's network": {"pod_spec_config": {"hostNetwork": True, "hostPID": True}},
    "pod, another container": {"pod_spec_config": {"containers": [{"name": "evil", "image": "evil", **PRIVILEGED}]}},
    "pod, first container": {"pod_spec_config": {"initContainers": [{"name": "evil", "image": "evil"}]}},
    "pod, node": {"pod_spec_config": {"nodeName": "control-plane"}},
    "template": {"pod_template_spec_metadata": {"labels": {"app.kubernetes.io/name": "flask"}}},
    "template, namespace": {"pod_template_spec_metadata": {"namespace": "kube-system"}},
    "job": {"job_config": {"spec": {"parallelism": 1000}}},
    "job, metadata": {"job_metadata": {"namespace": "kube-system", "ownerReferences": []}},
    "job, spec": {"job_spec_config": {"ttlSecondsAfterFinished": 0, "template": {"spec": {"hostNetwork": True}}}},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("merge", [None, "SHALLOW", "DEEP"])
def test_a_tag_sets_nothing_of_a_runs_pod(launch, config, merge):
    tags = {"dagster-k8s/config": json.dumps(config | ({"merge_behavior": merge} if merge else {}))}
    with pytest.raises(Exception, match="violated the allowed list"):
        launch(tags)
    assert launch.jobs.created == []


def test_other_ways_set_nothing_either(launch):
    plain = launch({"ai-film/film": "f1"})
    assert plain["in"] == "ai-film"
    with pytest.raises(Exception, match="violated the allowed list"):
        launch({"dagster-k8s/resource_requirements": json.dumps({"limits": {"cpu": "64"}})})
    for context in (
        {"k8s": {"service_account_name": "dagster-daemon"}}, {"k8s": {"namespace": "kube-system"}}, {"k8s": {"env_secrets": ["ai-film"]}},
        {"k8s": {"run_k8s_config": {"container_config": PRIVILEGED}}}, {"k8s": {"volumes": HOST["volumes"]}},
        {"env_vars": ["STUDIO_DATABASE_URL=postgresql://evil"]}, {"k8s": {"security_context": {"privileged": True}}},
    ):  # fmt: skip
        with pytest.raises(Exception, match="violated the allowed list"):
            launch(container_context=context)
    assert len(launch.jobs.created) == 1
    # What may be said and says nothing, and tags that name an image, or are labels: the Job is the plain one.
    for tags in ({"dagster-k8s/config": "{}"}, {"dagster-k8s/config": json.dumps({"merge_behavior": "SHALLOW"})},
                 {"docker/image": "evil"}, {"dagster/image": "evil"}, {"app.kubernetes.io/name": "flask"}):  # fmt: skip
        assert launch(tags | {"ai-film/film": "f1"}) == plain, tags


def test_runs_are_as_restricted_as_every_pod(launch):
    job = launch({"ai-film/film": "f1"})
    spec = job["spec"]["template"]["spec"]
    container, *others = spec["containers"]
    assert others == []
    assert "initContainers" not in spec
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("dagster-run", False)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}  # fmt: skip
    assert not any("hostPath" in volume for volume in spec["volumes"])
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert labels["app.kubernetes.io/part-of"] == "ai-film"
        assert labels["app.kubernetes.io/component"] == "run"
        assert labels["app.kubernetes.io/name"] == "dagster"
    environment = {variable["name"]: variable for variable in container["env"]}
    assert environment["SERVICE_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "ai-film", "key": "service-token"}
