"""Training and processing jobs."""

from __future__ import annotations

from local_sagemaker.requests.members.declaration import CREATION_TIMES, KEYS, SORTED_PAGE, TAGS, Members

_PERMISSIONS = "permissions are not checked"
_NETWORK = "jobs share this machine's network"
_NO_IMAGE = "no image is pulled"
_HUB = "there is no model hub"
_ANSWER = "only the service sets it; omit it"
_TRAINING_PLANS = "there are no training plans"
_EXPERIMENTS = "no trial is created"

JOBS: dict[str, Members] = {
    "CreateTrainingJob": Members(
        done=f"""
            TrainingJobName HyperParameters Environment EnableManagedSpotTraining {TAGS}
            AlgorithmSpecification.TrainingImage AlgorithmSpecification.TrainingInputMode
            AlgorithmSpecification.ContainerEntrypoint AlgorithmSpecification.ContainerArguments
            AlgorithmSpecification.MetricDefinitions[].Name AlgorithmSpecification.MetricDefinitions[].Regex
            InputDataConfig[].ChannelName InputDataConfig[].ContentType InputDataConfig[].InputMode
            InputDataConfig[].CompressionType InputDataConfig[].RecordWrapperType
            InputDataConfig[].DataSource.S3DataSource.S3DataType InputDataConfig[].DataSource.S3DataSource.S3Uri
            InputDataConfig[].DataSource.S3DataSource.S3DataDistributionType
            OutputDataConfig.S3OutputPath OutputDataConfig.CompressionType
            ResourceConfig.InstanceType ResourceConfig.InstanceCount ResourceConfig.VolumeSizeInGB
            ResourceConfig.InstancePreferences[].InstanceType ResourceConfig.InstancePreferences[].InstanceCount
            StoppingCondition.MaxRuntimeInSeconds StoppingCondition.MaxWaitTimeInSeconds
            CheckpointConfig.S3Uri CheckpointConfig.LocalPath
        """,
        without_effect={
            "RoleArn": _PERMISSIONS,
            "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": "the web UI draws its own curves",
            "AlgorithmSpecification.TrainingImageConfig": _NO_IMAGE,
            "OutputDataConfig.KmsKeyId": KEYS,
            "ResourceConfig.VolumeKmsKeyId": KEYS,
            "ResourceConfig.KeepAlivePeriodInSeconds": "a job starts at once, there is no pool to keep warm",
            "VpcConfig": _NETWORK,
            "EnableInterContainerTrafficEncryption": "the hosts of a job talk over loopback",
            "DebugHookConfig": "the debugger's hook is part of AWS's images",
            "DebugRuleConfigurations": "no rule is evaluated",
            "ExperimentConfig": _EXPERIMENTS,
            "ProfilerConfig": "nothing is profiled",
            "ProfilerRuleConfigurations": "nothing is profiled",
            "RetryStrategy": "a job is lost only with the server, and then ends as InternalServerError",
            "RemoteDebugConfig": "the job's processes are on this machine",
            "InfraCheckConfig": "there is no hardware to check",
            "SessionChainingConfig": _PERMISSIONS,
        },
        refused={
            "AlgorithmSpecification.AlgorithmName": "there is no Marketplace; set a training image",
            "InputDataConfig[].DataSource.FileSystemDataSource": "use S3DataSource",
            "InputDataConfig[].DataSource.DatasetSource": "use S3DataSource",
            "InputDataConfig[].DataSource.S3DataSource.AttributeNames": "use S3Prefix or ManifestFile",
            "InputDataConfig[].DataSource.S3DataSource.InstanceGroupNames": "there are no heterogeneous clusters",
            "InputDataConfig[].DataSource.S3DataSource.ModelAccessConfig": _HUB,
            "InputDataConfig[].DataSource.S3DataSource.HubAccessConfig": _HUB,
            "InputDataConfig[].ShuffleConfig": "objects come in the order of their keys",
            "ResourceConfig.InstanceGroups": "there are no heterogeneous clusters",
            "ResourceConfig.TrainingPlanArn": _TRAINING_PLANS,
            "ResourceConfig.InstancePlacementConfig": "there are no UltraServers",
            "ResourceConfig.InstancePreferences[].TrainingPlanArns": _TRAINING_PLANS,
            "ResourceConfig.SelectedInstanceType": _ANSWER,
            "ResourceConfig.SelectedInstanceCount": _ANSWER,
            "StoppingCondition.MaxPendingTimeInSeconds": "a job starts when a slot is free, however long that takes",
            "EnableNetworkIsolation": _NETWORK,
            "TensorBoardOutputConfig": "write to /opt/ml/output or to S3",
            "ServerlessJobConfig": "customising a model without instances needs AWS's own images",
            "MlflowConfig": "there is no MLflow server, set MLFLOW_TRACKING_URI in Environment",
            "ModelPackageConfig": "register the model with CreateModelPackage or a RegisterModel step",
        },
    ),
    "CreateProcessingJob": Members(
        done=f"""
            ProcessingJobName Environment {TAGS}
            ProcessingInputs[].InputName ProcessingInputs[].S3Input.S3Uri ProcessingInputs[].S3Input.LocalPath
            ProcessingInputs[].S3Input.S3DataType ProcessingInputs[].S3Input.S3InputMode
            ProcessingInputs[].S3Input.S3DataDistributionType ProcessingInputs[].S3Input.S3CompressionType
            ProcessingOutputConfig.Outputs[].OutputName ProcessingOutputConfig.Outputs[].S3Output.S3Uri
            ProcessingOutputConfig.Outputs[].S3Output.LocalPath ProcessingOutputConfig.Outputs[].S3Output.S3UploadMode
            ProcessingResources.ClusterConfig.InstanceCount ProcessingResources.ClusterConfig.InstanceType
            ProcessingResources.ClusterConfig.InstancePreferences[].InstanceType
            ProcessingResources.ClusterConfig.InstancePreferences[].InstanceCount
            StoppingCondition.MaxRuntimeInSeconds
            AppSpecification.ImageUri AppSpecification.ContainerEntrypoint AppSpecification.ContainerArguments
        """,
        without_effect={
            "RoleArn": _PERMISSIONS,
            "ProcessingOutputConfig.KmsKeyId": KEYS,
            "ProcessingResources.ClusterConfig.VolumeSizeInGB": "the disk of this machine is the limit",
            "ProcessingResources.ClusterConfig.VolumeKmsKeyId": KEYS,
            "NetworkConfig.VpcConfig": _NETWORK,
            "NetworkConfig.EnableInterContainerTrafficEncryption": "the hosts of a job talk over loopback",
            "ExperimentConfig": _EXPERIMENTS,
        },
        refused={
            "ProcessingInputs[].AppManaged": "omit it: the server downloads the input",
            "ProcessingInputs[].DatasetDefinition": "use S3Input",
            "ProcessingOutputConfig.Outputs[].AppManaged": "omit it: the server uploads the output",
            "ProcessingOutputConfig.Outputs[].FeatureStoreOutput": "use S3Output",
            "ProcessingResources.ClusterConfig.SelectedInstanceType": _ANSWER,
            "ProcessingResources.ClusterConfig.SelectedInstanceCount": _ANSWER,
            "NetworkConfig.EnableNetworkIsolation": _NETWORK,
        },
    ),
    **{
        f"{verb}{kind}Job": Members(done=f"{kind}JobName")
        for kind in ("Training", "Processing")
        for verb in ("Describe", "Stop")
    },
    "ListTrainingJobs": Members(
        done=f"{SORTED_PAGE} {CREATION_TIMES} LastModifiedTimeAfter LastModifiedTimeBefore NameContains StatusEquals"
        " WarmPoolStatusEquals TrainingPlanArnEquals"
    ),
    "ListProcessingJobs": Members(
        done=f"{SORTED_PAGE} {CREATION_TIMES} LastModifiedTimeAfter LastModifiedTimeBefore NameContains StatusEquals"
    ),
}
