"""Captures of serving platforms, golden files after their published descriptions: rows and values as they were sent."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.cli import main
from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.sources import Source, open_source

Json = dict[str, Any]
AT = "2026-01-01T00:00:{:02}Z"
SENT = [(5.1 + number, ["nl", "be"][number % 2], number % 2, 0.25 + number % 2 / 2) for number in range(6)]


def source_of(path: Path | str, format: Any = None) -> Source:
    return open_source(SourceSection(path=str(path), format=format), ZoneInfo("UTC"))


def lines(path: Path, *records: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    return path


def sagemaker(folder: Path) -> None:
    def record(number: int, x: float, country: str, said: int, score: float) -> Json:
        output = {"predictions": [{"predicted_label": said, "score": score}]}
        return {
            "captureData": {
                "endpointInput": {"observedContentType": "application/json", "mode": "INPUT", "encoding": "JSON",
                                  "data": json.dumps({"instances": [{"x": x, "country": country}]})},
                "endpointOutput": {"observedContentType": "application/json", "mode": "OUTPUT", "encoding": "BASE64",
                                   "data": b64encode(json.dumps(output).encode()).decode()},
            },
            "eventMetadata": {"eventId": f"e-{number}", "inferenceId": f"r-{number}",
                              "inferenceTime": AT.format(number)},
            "eventVersion": "0",
        }

    records = [record(number, *row) for number, row in enumerate(SENT)]
    lines(folder / "endpoint/AllTraffic/2026/01/01/00/a.jsonl", *records[:4])
    lines(folder / "endpoint/AllTraffic/2026/01/01/01/b.jsonl", *records[4:], "not JSON", {"captureData": {}})


def _event(kind: str, number: int, data: Any) -> Json:
    return {"specversion": "1.0", "type": kind, "id": f"r-{number}", "time": AT.format(number), "data": data,
            "source": "http://localhost:9081/", "datacontenttype": "application/json"}


def kserve(folder: Path) -> None:
    kind = "org.kubeflow.serving.inference"
    asked = [_event(f"{kind}.request", n, {"instances": [{"x": x, "country": c}]})
             for n, (x, c, _, _) in enumerate(SENT)]
    said = [_event(f"{kind}.response", n, {"predictions": [{"prediction": said, "probability": score}]})
            for n, (_, _, said, score) in enumerate(SENT)]
    lines(folder / "events.jsonl", *asked, *said, _event(f"{kind}.request", 99, {"instances": [[1]]}), "{")


def seldon(folder: Path) -> None:
    kind = "io.seldon.serving.inference"
    asked = [_event(f"{kind}.request", n, {"data": {"names": ["x", "country"], "ndarray": [[x, c]]}})
             for n, (x, c, _, _) in enumerate(SENT)]
    names = ["prediction", "probability"]
    said = [_event(f"{kind}.response", n, {"data": {"names": names, "ndarray": [[said, score]]}})
            for n, (_, _, said, score) in enumerate(SENT)]
    lines(folder / "events.jsonl", *asked, *said, _event(f"{kind}.feedback", 99, {}), "{")


def azureml(folder: Path) -> None:
    def record(number: int, side: str, row: Json) -> Json:
        return {"specversion": "1.0", "id": f"{side}-{number}", "source": "/subscriptions/s/deployments/d",
                "type": f"azureml.inference.model_{side}", "datacontenttype": "application/json",
                "time": AT.format(number), "data": [row], "correlationid": f"r-{number}", "modelversion": "3",
                "collectdatatype": "pandas.core.frame.DataFrame", "agent": "azureml-ai-monitoring/0.1.0"}

    lines(folder / "model_inputs/2026/01/01/00/i.jsonl",
          *(record(n, "inputs", {"x": x, "country": c}) for n, (x, c, _, _) in enumerate(SENT)), "half a li")
    lines(folder / "model_outputs/2026/01/01/00/o.jsonl",
          *(record(n, "outputs", {"prediction": s, "probability": p}) for n, (_, _, s, p) in enumerate(SENT)),
          record(77, "outputs", {"prediction": 1, "probability": 0.5}))


def vertex(folder: Path) -> None:
    lines(folder / "export.json", *(
        {"endpoint": "e", "deployed_model_id": "3", "logging_time": f"2026-01-01 00:00:{n:02}.000 UTC",
         "request_id": f"r-{n}", "request_payload": [json.dumps({"x": x, "country": c})],
         "response_payload": [json.dumps({"prediction": s, "probability": p})]}
        for n, (x, c, s, p) in enumerate(SENT)
    ), {"request_id": "r-9", "request_payload": [], "response_payload": []}, "-")


def databricks(folder: Path) -> None:
    lines(folder / "table.jsonl", *(
        {"databricks_request_id": f"r-{n}", "timestamp_ms": 1767225600000 + 1000 * n, "status_code": 200,
         "request": json.dumps({"dataframe_split": {"columns": ["x", "country"], "data": [[x, c]]}}),
         "response": json.dumps({"predictions": [{"prediction": s, "probability": p}]})}
        for n, (x, c, s, p) in enumerate(SENT)
    ), {"databricks_request_id": "r-8", "status_code": 500, "request": "{}", "response": "{}"}, "-")


def oip(folder: Path) -> None:
    def tensor(name: str, kind: str, value: Any) -> Json:
        return {"name": name, "shape": [1, 1], "datatype": kind, "data": [value]}

    lines(folder / "bodies.jsonl", *(
        {"time": AT.format(n),
         "request": {"id": f"r-{n}", "inputs": [tensor("x", "FP64", x), tensor("country", "BYTES", c)]},
         "response": {"id": f"r-{n}", "model_name": "m", "model_version": "3", "outputs": [
             tensor("predict", "INT64", s), {"name": "predict_proba", "shape": [1, 2], "datatype": "FP64",
                                             "data": [[1 - p, p]]}]}}
        for n, (x, c, s, p) in enumerate(SENT)
    ), {"request": {"inputs": [tensor("x", "FP64", 1)]}, "response": {"outputs": [], "model_name": "m"}}, "-")


@pytest.mark.parametrize("write", [sagemaker, kserve, seldon, azureml, vertex, databricks, oip],
                         ids=lambda write: write.__name__)
def test_rows_and_values_as_they_were_sent(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """Each platform's capture is known by itself; all rows are there, and what could not be used is counted."""
    write(tmp_path / "capture")
    source = source_of(tmp_path / "capture")
    read = source.read(None, timestamp="timestamp")
    found = sorted((row for row in read.to_pylist() if row["timestamp"]), key=lambda row: row["id"])
    expected = [{"timestamp": AT.format(n), "id": f"r-{n}", "x": x, "country": c, "prediction": s, "probability": p}
                for n, (x, c, s, p) in enumerate(SENT)]
    for row in found:
        assert str(row.pop("model_version", "3")) == "3"      # "3" in quotes is a number, as in CSV
        row["timestamp"] = row["timestamp"].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found == expected
    told = source.guesses()
    assert (told["rows"], told["not used"] == "none") == ("6", False)
    strays = source.strays("timestamp")
    assert (strays.rows, strays.untimed) == (8, 2)       # a row without time for each record that could not be used
    assert source_of(tmp_path / "capture", write.__name__).read(None) == source.read(None)
    assert {one.name for one in source.contents("predictions", [])} == {
        str(path) for path in (tmp_path / "capture").rglob("*.js*")}


def test_files_of_the_kserve_logger(tmp_path: Path) -> None:
    """They hold lists of entries with the body in Base64 and no time: the time of the file counts."""
    def entry(kind: str, number: int, body: Json) -> Json:
        return {"Url": None, "Bytes": b64encode(json.dumps(body).encode()).decode(), "ContentType": "application/json",
                "ReqType": f"org.kubeflow.serving.inference.{kind}", "Id": f"r-{number}", "InferenceService": "iris"}

    for number in range(2):
        (tmp_path / f"r-{number}-request.json").write_text(
            json.dumps([entry("request", number, {"instances": [[6.8, 2.8], [6.0, 3.4]]})]))
        (tmp_path / f"r-{number}-response.json").write_text(
            json.dumps([entry("response", number, {"predictions": [number, 1]})]))
    rows = source_of(tmp_path).read(None).sort_by("id").to_pylist()
    assert [(row["id"], row["f0"], row["f1"], row["prediction"]) for row in rows] == [
        ("r-0-0", 6.8, 2.8, 0), ("r-0-1", 6.0, 3.4, 1), ("r-1-0", 6.8, 2.8, 1), ("r-1-1", 6.0, 3.4, 1)]
    written = (tmp_path / "r-0-request.json").stat().st_mtime
    assert abs(rows[0]["timestamp"].timestamp() - written) < 0.001


def test_csv_of_sagemaker(tmp_path: Path) -> None:
    """Several rows of CSV in one request are rows of their own, with columns by their place."""
    side = {"observedContentType": "text/csv", "encoding": "CSV"}
    lines(tmp_path / "a.jsonl", {
        "captureData": {"endpointInput": {**side, "data": "1,0.5,x\n2,,y\n"},
                        "endpointOutput": {**side, "data": "0.1\n0.9"}},
        "eventMetadata": {"eventId": "e", "inferenceTime": AT.format(0)},
    })
    rows = source_of(tmp_path).read(None).sort_by("id").to_pylist()
    assert [(row["id"], row["f0"], row["f1"], row["f2"], row["prediction"]) for row in rows] == [
        ("e-0", 1, 0.5, "x", 0.1), ("e-1", 2, None, "y", 0.9)]


def test_a_capture_that_grows(tmp_path: Path) -> None:
    """An answer in a later file joins its request; a line that is still being written waits."""
    kind = "org.kubeflow.serving.inference"
    asked, said = (_event(f"{kind}.{side}", 1, {name: [[1.0]]})
                   for side, name in (("request", "instances"), ("response", "predictions")))
    lines(tmp_path / "a.jsonl", asked, _event(f"{kind}.request", 2, {"instances": [[2.0]]}),
          _event(f"{kind}.response", 2, {"predictions": [[2.0]]}))
    source = source_of(tmp_path)
    assert source.read(["f0"])["f0"].to_pylist() == [None, 2.0]
    mark = source.fingerprint()
    lines(tmp_path / "b.jsonl", said)
    with (tmp_path / "b.jsonl").open("a") as file:
        file.write('{"specversion": "1.0", "ty')
    assert source.fingerprint() != mark
    assert source.read(["f0"])["f0"].to_pylist() == [1.0, 2.0]
    assert source.guesses()["not used"] == "none"


def test_inference_tables_of_databricks_and_vertex(tmp_path: Path) -> None:
    """In Parquet and in Delta they are read as in JSON lines; a deleted row is none, and a new version is seen."""
    databricks(tmp_path / "text")
    vertex(tmp_path / "vertex")
    records = [json.loads(line) for line in (tmp_path / "text/table.jsonl").read_text().splitlines()[:7]]
    for one in records:
        one["request_time"] = datetime.fromtimestamp(one.pop("timestamp_ms", 1767225600000) / 1000, UTC)
    table = pa.Table.from_pylist(records)
    (tmp_path / "parquet").mkdir()
    pq.write_table(table, tmp_path / "parquet/part-0.parquet")
    deltalake.write_deltalake(tmp_path / "delta", table)
    [payloads] = (tmp_path / "vertex").rglob("*.js*")
    logged = [json.loads(line) for line in payloads.read_text().splitlines() if line.startswith("{")]
    pq.write_table(pa.Table.from_pylist(logged[:6]), tmp_path / "bigquery.parquet")
    wanted = _usable(tmp_path / "text")
    assert len(wanted) == 6
    for place in (tmp_path / "parquet", tmp_path / "parquet/*.parquet", tmp_path / "delta"):
        source = source_of(place)
        assert _usable(place) == wanted
        assert source.guesses()["not used"] == "1 a request that failed"
    assert _usable(tmp_path / "bigquery.parquet") == _usable(tmp_path / "vertex")
    source = source_of(tmp_path / "delta")
    before = source.fingerprint()
    deltalake.DeltaTable(tmp_path / "delta").delete("databricks_request_id = 'r-3'")
    assert source.fingerprint() != before
    assert _usable(tmp_path / "delta") == [row for row in wanted if row["id"] != "r-3"]
    assert [one.name for one in source.contents("predictions", [])][-1] == str(tmp_path / "delta")     # its version
    plain = source_of(tmp_path / "parquet", "parquet")
    assert "request" in plain.schema().names


def _usable(place: Path) -> list[Json]:
    rows = source_of(place).read(None, timestamp="timestamp").sort_by("id").to_pylist()
    return [row for row in rows if row["timestamp"]]


def test_logs_of_bentoml(tmp_path: Path) -> None:
    """As its own library (1.4) wrote them: rows of one request, roles in a record of their own, a day that is over."""
    columns = [{"name": "x", "role": "feature", "type": "numerical"}, {"name": "score", "role": "feature", "type": "n"},
               {"name": "pred", "role": "prediction", "type": "categorical"},
               {"name": "predict_proba", "role": "prediction", "type": "numerical"},
               {"name": "truth", "role": "target", "type": "categorical"}]
    lines(tmp_path / "iris/schema/schema.1.log", {"meta_data": {"bento_name": "Iris"}, "columns": columns})

    def row(number: int, request: str, second: int) -> Json:
        return {"x": number / 2, "score": 7, "pred": number % 2, "predict_proba": 0.25, "truth": 1,
                "timestamp": AT.format(second).removesuffix("Z"), "request_id": request, "trace_id": "9"}

    lines(tmp_path / "iris/data/data.1.log.2025-12-31", row(0, "97", 1), row(1, "97", 1))
    lines(tmp_path / "iris/data/data.1.log", row(2, "98", 2), "half a li")
    names = ("id", "x", "score", "prediction", "probability", "label")
    assert [tuple(row[name] for name in names) for row in _usable(tmp_path / "iris")] == [
        ("97-0", 0.0, 7, 0, 0.25, 1), ("97-1", 0.5, 7, 1, 0.25, 1), ("98", 1.0, 7, 0, 0.25, 1)]
    alone = _usable(tmp_path / "iris/data")          # without its schema the columns keep their names
    assert [(row["id"], row["pred"], row["truth"]) for row in alone] == [("97-0", 0, 1), ("97-1", 1, 1), ("98", 0, 1)]
    lines(tmp_path / "own.jsonl", row(0, "97", 1))   # somebody's own log with the same keys stays what it is
    assert "request_id" in source_of(tmp_path / "own.jsonl").schema().names


def test_what_is_no_capture(tmp_path: Path) -> None:
    """Plain JSON lines stay what they are; a capture of which nothing can be used is said."""
    lines(tmp_path / "plain/a.jsonl", {"timestamp": AT.format(0), "request": "a", "x": 1})
    assert source_of(tmp_path / "plain").read(None).column_names == ["timestamp", "request", "x"]
    lines(tmp_path / "empty/a.jsonl", {"captureData": {}}, {"captureData": {}})
    with pytest.raises(SourceError, match="none of 2 records of SageMaker data capture could be used \\(2 no id\\)"):
        source_of(tmp_path / "empty").read(None)


@pytest.mark.parametrize("inputs", [
    [], [{}], [{"datatype": "FP64"}], [{"name": "x", "shape": [0], "datatype": "FP64", "data": []}],
    [{"name": "x", "shape": ["a", 1], "datatype": "FP64", "data": [1]}],
    [{"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [1, 2, 3]}],
    [{"name": "x", "shape": [1e400, 1], "datatype": "FP64", "data": [1]}],
    [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": "AAAA"}],
    [{"name": "x", "shape": [1], "datatype": "FP64", "data": json.loads("[" * 400 + "1" + "]" * 400)}],
], ids=str)
def test_bodies_of_another_form(tmp_path: Path, inputs: list[Json]) -> None:
    """A body that is not as described is counted, or read where it can be; it never stops the others."""
    oip(tmp_path)
    lines(tmp_path / "b.jsonl", {"request": {"id": "b", "inputs": inputs}, "response": {
        "model_name": "m", "outputs": [{"name": "y", "shape": [1], "datatype": "FP64", "data": [1]}]}})
    assert source_of(tmp_path, "oip").read(None).num_rows == 9


def test_init_of_a_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`driftd init FOLDER` says which platform wrote it, what became of each record, and writes the folder."""
    sagemaker(tmp_path / "capture")
    code = main(["init", str(tmp_path / "capture"), "-o", str(tmp_path / "driftd.toml")])
    said = capsys.readouterr()
    assert code == 0, said
    assert "SageMaker data capture" in said.out
    assert "2 of 8 rows of the log are without a timestamp" in said.out
    assert 'prediction      = "prediction"' in (tmp_path / "driftd.toml").read_text()
