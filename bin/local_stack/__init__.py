"""The whole stack on one machine: the local SageMaker and Airflow's four processes, started and stopped together."""
