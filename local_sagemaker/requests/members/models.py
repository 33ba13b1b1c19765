"""Models and the registry."""

from __future__ import annotations

from local_sagemaker.requests.members.declaration import CREATION_TIMES, KEYS, SORTED_PAGE, TAGS, Members

MODELS: dict[str, Members] = {
    "CreateModel": Members(
        done=f"ModelName {TAGS}",
        kept="PrimaryContainer Containers InferenceExecutionConfig ExecutionRoleArn VpcConfig EnableNetworkIsolation",
    ),
    "DescribeModel": Members(done="ModelName"),
    "DeleteModel": Members(done="ModelName"),
    "ListModels": Members(done=f"{SORTED_PAGE} NameContains {CREATION_TIMES}"),
    "CreateModelPackageGroup": Members(
        done=f"ModelPackageGroupName {TAGS}",
        kept="ModelPackageGroupDescription",
        refused={"ManagedConfiguration": "models are not copied to managed storage"},
    ),
    "DescribeModelPackageGroup": Members(done="ModelPackageGroupName"),
    "DeleteModelPackageGroup": Members(done="ModelPackageGroupName"),
    "ListModelPackageGroups": Members(done=f"{SORTED_PAGE} NameContains {CREATION_TIMES} CrossAccountFilterOption"),
    "CreateModelPackage": Members(
        done=f"ModelPackageName ModelPackageGroupName ModelApprovalStatus ClientToken {TAGS}",
        kept="""
            ModelPackageDescription ModelPackageRegistrationType InferenceSpecification SourceAlgorithmSpecification
            MetadataProperties ModelMetrics Domain Task SamplePayloadUrl CustomerMetadataProperties DriftCheckBaselines
            AdditionalInferenceSpecifications SkipModelValidation SourceUri ModelCard ModelLifeCycle
        """,
        without_effect={
            "ValidationSpecification": "nothing is validated; Describe returns it",
            "CertifyForMarketplace": "there is no Marketplace; Describe returns it",
            "SecurityConfig": f"{KEYS}; Describe returns it",
        },
        refused={"ManagedStorageType": "models are not copied to managed storage"},
    ),
    "UpdateModelPackage": Members(
        done="ModelPackageArn CustomerMetadataProperties CustomerMetadataPropertiesToRemove ClientToken",
        kept="ModelApprovalStatus ApprovalDescription InferenceSpecification SourceUri ModelLifeCycle",
        refused={
            "AdditionalInferenceSpecificationsToAdd": "register another version",
            "ModelCard": "register another version",
            "ModelPackageRegistrationType": "register another version",
        },
    ),
    "DescribeModelPackage": Members(done="ModelPackageName", without_effect={"IncludedData": "all data is returned"}),
    "DeleteModelPackage": Members(done="ModelPackageName"),
    "ListModelPackages": Members(
        done=f"{SORTED_PAGE} NameContains {CREATION_TIMES} ModelApprovalStatus ModelPackageGroupName ModelPackageType"
    ),
}
