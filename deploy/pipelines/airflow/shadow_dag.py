"""An Airflow DAG for a candidate in shadow: once a day retrain.py writes what it says of the rows answered since.

Unpause it where retrain_dag.py runs with SHADOW set; the environment is the same. driftd, which reads that folder, says
when enough is known (docs/how-to/shadow.md).
"""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

RUN = 'mkdir -p "$RETRAIN_RUNS/shadow" && cd "$RETRAIN_RUNS/shadow" && "$RETRAIN_PYTHON" "$RETRAIN_SCRIPT" shadow'

with DAG("shadow", schedule="@daily", catchup=False, max_active_runs=1):
    BashOperator(task_id="shadow", bash_command=RUN)
