"""The CloudFormation template makes what it says, and a server can live in it."""

import json
import subprocess
import urllib.parse

import pytest
import yaml
from conftest import PROJECT
from sluice_client import Lake

TEMPLATE = PROJECT / "infra" / "cloudformation" / "lake.yaml"
ZONES = ("RawBucket", "CuratedBucket")


@pytest.fixture(scope="module")
def outputs(localstack):
    """What the deployed stack gives out."""
    formation = localstack.client("cloudformation")
    formation.create_stack(
        StackName="lake",
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": "LakeName", "ParameterValue": "infra-test"}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    formation.get_waiter("stack_create_complete").wait(StackName="lake", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    (stack,) = formation.describe_stacks(StackName="lake")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


@pytest.fixture(scope="module")
def buckets(outputs):
    return [urllib.parse.urlsplit(outputs[name]).netloc for name in ("RawUrl", "CuratedUrl")]


def load_template():
    """The template, its functions left as they are written."""

    class Loader(yaml.SafeLoader):
        pass

    def value(loader, _suffix, node):
        construct = {"scalar": loader.construct_scalar, "sequence": loader.construct_sequence}
        return construct[node.id](node)

    Loader.add_multi_constructor("!", value)
    return yaml.load(TEMPLATE.read_text(), Loader)


def test_the_template_is_valid(localstack, cache_folder):
    lint = [cache_folder / "venv-localstack" / "bin" / "cfn-lint", TEMPLATE]
    done = subprocess.run(lint, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("zone", ZONES)
def test_a_zone_keeps_what_is_overwritten_for_a_while_and_no_parts(zone):
    # LocalStack does not put the rules of a template on the bucket, so the template itself is asked.
    resource = load_template()["Resources"][zone]
    rules = {rule["Id"]: rule for rule in resource["Properties"]["LifecycleConfiguration"]["Rules"]}
    assert rules["abandoned-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == "AbandonedUploadDays"
    assert rules["noncurrent-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == "NoncurrentDays"
    assert {rule["Status"] for rule in rules.values()} == {"Enabled"}
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_buckets_are_versioned_encrypted_and_private(localstack, buckets):
    s3 = localstack.client("s3")
    for bucket in buckets:
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert set(statement["Resource"]) == {f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"}


def test_the_role_can_use_the_zones_and_nothing_else(localstack, outputs, buckets):
    iam = localstack.client("iam")
    role = outputs["ServerRoleArn"].rsplit("/", 1)[1]
    (attached,) = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
    policy = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]
    arns = {f"arn:aws:s3:::{bucket}" for bucket in buckets}
    allowed = {resource for statement in policy["Statement"] for resource in statement["Resource"]}
    assert allowed == arns | {f"{arn}/*" for arn in arns}
    actions = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert not any("*" in action for action in actions)
    assert "s3:DeleteObjectVersion" not in actions


def test_a_server_lives_in_the_stack(localstack, servers, outputs):
    environment = localstack.server_environment(outputs["RawUrl"], outputs["CuratedUrl"])
    lake = Lake(servers.start(environment=environment).url)
    receipt = lake.upload("infra.rows", b"id\n1\n2\n", format="csv")
    assert receipt["raw_object"].startswith(outputs["RawUrl"] + "/")
    assert lake.row("SELECT sum(id) AS total FROM infra.rows") == {"total": 3}
