"""Deploys the templates with CloudFormation change sets: to AWS and to a local stack alike."""

import os
import secrets
import time

import binaries
import botocore.config
import botocore.exceptions
import botocore.session
import process
from stack import REGION, ROOT, Failure, lease_secs, rate_limit, say, tenant_jobs_max

PARTS = ("data", "queues", "functions")
DEPLOY_SECS = 900
# As many as the hash that the tokens are made with.
REFUND_SECRET_BYTES = 32
# What cannot be undone: such a change to the data stack is for a person to make.
LOSES_DATA = ("True", "Conditional")


class Cloud:
    """Clients of AWS, or of one local stack when `endpoint` is given."""

    def __init__(self, endpoint=None):
        self.local = endpoint is not None
        self.endpoint = endpoint
        if self.local:
            # Nothing of the caller's own AWS configuration may reach a local stack, nor the other way round.
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                del os.environ[name]
            os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull,
                              AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_DEFAULT_REGION=REGION)
        self.session = botocore.session.Session()

    def client(self, service):
        """A client of one service."""
        config = botocore.config.Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5},
                                        s3={"addressing_style": "path"} if self.local else {})
        try:
            return self.session.create_client(service, endpoint_url=self.endpoint, config=config)
        except botocore.exceptions.NoRegionError:
            raise Failure("no region: set AWS_REGION or AWS_DEFAULT_REGION") from None

    def account(self):
        """Whose account the credentials are of."""
        try:
            return self.client("sts").get_caller_identity()["Account"]
        except botocore.exceptions.BotoCoreError as error:
            raise Failure(f"AWS cannot be reached with these credentials: {error}") from error


def target(stack, aws):
    """AWS, or the local stack, which must be up."""
    if not aws and process.record_of(stack, "ministack") is None:
        raise Failure(f"stack {stack.name} is not up: run make up STACK={stack.name}")
    return Cloud(None if aws else stack.endpoint)


def deploy(cloud, stack, profile):
    """Deploys data, code, queues and functions, each only where it changed. Returns all outputs."""
    if not cloud.local:
        binaries.ensure_runs_on_lambda(profile)
    stage = "local" if cloud.local else "aws"
    common = {"Stack": stack.name, "Stage": stage}
    cfn = cloud.client("cloudformation")

    outputs = _apply(cfn, stack, "data", common)
    if not cloud.local:
        cfn.update_termination_protection(EnableTerminationProtection=True, StackName=stack.cloud_name("data"))
    codes = _upload(cloud.client("s3"), outputs["CodeBucket"], binaries.packages(profile))
    outputs |= _apply(cfn, stack, "queues", {"Stack": stack.name})
    outputs |= _apply(cfn, stack, "functions", {
        **common,
        "Architecture": binaries.architecture(profile),
        "LogFilter": os.environ.get("QSKETCH_LOG") or "info",
        "LeaseSecs": lease_secs(),
        "ScriptRate": rate_limit("QSKETCH_SCRIPT_RATE"),
        "TenantJobsMax": tenant_jobs_max(),
        "RefundSecretParameter": ensure_refund_secret(cloud.client("ssm"), stack),
        **{name: outputs[name] for name in ("Table", "Bucket", "CodeBucket", "QueueUrlPrefix")},
        **{f"{name.title().replace('-', '')}Code": key for name, key in codes.items()},
    })
    return outputs


def ensure_refund_secret(ssm, stack):
    """Makes the secret of refund tokens unless it is there; returns its name.

    It is never changed: a notification under way could not repeat its token with another one."""
    name = f"/qsketch/{stack.name}/refund-secret"
    try:
        # CloudFormation makes no SecureString, so no template does this.
        ssm.put_parameter(Name=name, Type="SecureString", Overwrite=False, Value=secrets.token_hex(REFUND_SECRET_BYTES),
                          Description="What qsketch makes refund tokens from: to change it makes notifications fail that are under way")
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "ParameterAlreadyExists":
            raise Failure(f"parameter {name} cannot be made: {error}") from error
    else:
        say(f"{name}: made")
    return name


def outputs(cloud, stack):
    """All outputs of the parts that are deployed."""
    cfn = cloud.client("cloudformation")
    found = {}
    for part in PARTS:
        found |= _outputs(_describe(cfn, stack.cloud_name(part)))
    return found


def _upload(s3, bucket, packages):
    keys = {}
    for name, (key, path) in packages.items():
        keys[name] = key
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise Failure(f"bucket {bucket} cannot be read: {error}") from error
            with open(path, "rb") as body:
                s3.put_object(Bucket=bucket, Key=key, Body=body)
    return keys


def _describe(cfn, name):
    """The stack as it is, or None."""
    try:
        return cfn.describe_stacks(StackName=name)["Stacks"][0]
    except botocore.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return None
        raise Failure(f"stack {name} cannot be read: {error}") from error


def _outputs(described):
    return {output["OutputKey"]: output["OutputValue"] for output in (described or {}).get("Outputs", [])}


def _apply(cfn, stack, part, parameters):
    """Creates or updates one stack through a change set; an empty one changes nothing. Returns its outputs."""
    name = stack.cloud_name(part)
    before = _describe(cfn, name)
    if before and before["StackStatus"] == "ROLLBACK_COMPLETE":
        say(f"{name}: its first creation had failed, deleting what is left")
        cfn.delete_stack(StackName=name)
        _until(lambda: (now := _describe(cfn, name)) is None or now["StackStatus"] == "DELETE_COMPLETE", name)
        before = None
    fresh = before is None or before["StackStatus"] in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")
    change = {"StackName": name, "ChangeSetName": f"deploy-{time.time_ns()}"}
    cfn.create_change_set(
        **change, ChangeSetType="CREATE" if fresh else "UPDATE", Capabilities=["CAPABILITY_IAM"],
        TemplateBody=(ROOT / "infra" / "templates" / f"{part}.yaml").read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    proposal = _until(lambda: (now := cfn.describe_change_set(**change))["Status"] in ("CREATE_COMPLETE", "FAILED") and now, name)
    if proposal["Status"] == "FAILED":
        reason = proposal.get("StatusReason", "")
        cfn.delete_change_set(**change)
        if "didn't contain changes" in reason or "No updates" in reason:
            return _outputs(before)
        raise Failure(f"{name}: {reason}")
    if part == "data" and not fresh:
        refuse_loss(proposal, change)
    cfn.execute_change_set(**change)
    after = _until(lambda: (now := _describe(cfn, name)) and _settled(now["StackStatus"]) and now, name)
    if after["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise Failure(f"{name}: {after['StackStatus']}\n{_causes(cfn, name)}")
    say(f"{name}: {'created' if fresh else 'updated'}")
    return _outputs(after)


def _settled(status):
    return status.endswith(("_COMPLETE", "_FAILED")) and "CLEANUP" not in status


def refuse_loss(proposal, change):
    """Raises when a change set would replace or remove what holds data."""
    losing = [f"  {found['Action']} {found['LogicalResourceId']} ({found['ResourceType']})"
              for entry in proposal.get("Changes", []) if (found := entry.get("ResourceChange"))
              and found["ResourceType"] in ("AWS::DynamoDB::Table", "AWS::S3::Bucket")
              and (found["Action"] == "Remove" or found.get("Replacement") in LOSES_DATA)]
    if losing:
        raise Failure("this may replace or remove what holds data, so it is not done:\n" + "\n".join(losing)
                      + f"\nLook at change set {change['ChangeSetName']} of {change['StackName']}; to do it all the same, execute it.")


def _causes(cfn, name):
    events = cfn.describe_stack_events(StackName=name)["StackEvents"]
    return "\n".join(f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
                     for event in events if event.get("ResourceStatus", "").endswith("FAILED")) or "  (no reason was given)"


def _until(condition, name):
    """Polls for a condition and returns it, for a bounded time."""
    until = time.monotonic() + DEPLOY_SECS
    pause = 0.02
    while not (found := condition()):
        if time.monotonic() > until:
            raise Failure(f"{name}: not done after {DEPLOY_SECS} s; look at its events")
        time.sleep(pause)
        pause = min(pause * 2, 3)
    return found
