"""Requests and answers in the many forms that models and servers give them, as rows."""

import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.sources import open_source

Json = dict[str, Any]
AT = "2026-01-01T00:00:00Z"
LINES, CSV = "application/jsonlines", "text/csv; charset=utf-8"


def rows_of(path: Path) -> tuple[list[Json], dict[str, str]]:
    source = open_source(SourceSection(path=str(path)), ZoneInfo("UTC"))
    return source.read(None, timestamp="timestamp").to_pylist(), source.guesses()


def side(body: Any, kind: str = "application/json", encoding: str = "JSON") -> Json:
    text = body if isinstance(body, str) else json.dumps(body)
    data = b64encode(text.encode()).decode() if encoding == "BASE64" else text
    return {"observedContentType": kind, "encoding": encoding, "data": data}


def sagemaker(asked: Json, said: Json, id: str = "r") -> Json:
    return {"captureData": {"endpointInput": asked, "endpointOutput": said},
            "eventMetadata": {"eventId": id, "inferenceTime": AT}}


def tensor(name: str, shape: list[int], data: list[Any], **more: Any) -> Json:
    return {"name": name, "shape": shape, "datatype": "BYTES", "data": data, **more}


@pytest.mark.parametrize(("asked", "said", "expected"), [
    # what a model says of itself: its label is no label that came later
    (side({"inputs": "good"}), side([{"label": "POS", "score": 0.9}]),
     [{"inputs": "good", "prediction": "POS", "probability": 0.9}]),
    (side({"instances": [{"x": 1}]}),
     side({"predictions": [{"prediction": 1, "label": 0, "id": 7, "timestamp": "no"}]}),
     [{"x": 1, "prediction": 1, "output.label": 0, "output.id": 7, "output.timestamp": "no"}]),
    (side({"instances": [{"x": 1}]}), side({"predictions": [{"class": "a", "prediction": "b", "score": 0.5}]}),
     [{"x": 1, "prediction": "b", "class": "a", "probability": 0.5}]),
    (side({"instances": [{"x": 1, "id": 5}]}), side({"value": 7.5, "lower_bound": 7, "upper_bound": 8}),
     [{"x": 1, "input.id": 5, "prediction": 7.5, "lower_bound": 7, "upper_bound": 8}]),
    # scores, probabilities, and numbers that are neither
    (side({"instances": [{"features": [1.5, 2]}, {"features": [3.5, 4]}]}),
     side({"predictions": [{"score": 250000.5}, {"score": 3.0}]}),
     [{"features_0": 1.5, "features_1": 2, "prediction": 250000.5},
      {"features_0": 3.5, "features_1": 4, "prediction": 3.0}]),
    (side({"instances": [[1], [2], [3]]}), side({"predictions": [[0.2, 0.8], [0.5, 0.9], [0.1, 0.2]]}),
     [{"f0": 1, "output_0": 0.2, "output_1": 0.8}, {"f0": 2, "output_0": 0.5, "output_1": 0.9},
      {"f0": 3, "output_0": 0.1, "output_1": 0.2}]),
    (side({"instances": [[1], [2]]}), side({"predictions": [[0.249, 0.749], [0.9, 0.1]]}),
     [{"f0": 1, "prediction": 1, "probability": 0.749}, {"f0": 2, "prediction": 0, "probability": 0.1}]),
    (side({"instances": [[1]]}), side({"predictions": [{"probabilities": [0.25, 0.5, 0.25]}]}),
     [{"f0": 1, "prediction": 1, "probability_0": 0.25, "probability_1": 0.5, "probability_2": 0.25}]),
    (side({"instances": [[1]]}), side({"predictions": [{"predict": 4, "score": [0.25, 7]}]}),
     [{"f0": 1, "prediction": 4, "score_0": 0.25, "score_1": 7}]),
    (side({"instances": [[1]]}), side({"predictions": [{"classes": ["no", "yes"], "scores": [0.25, 0.75]}]}),
     [{"f0": 1, "prediction": "yes", "probability_no": 0.25, "probability_yes": 0.75}]),
    # a number for each class, by name or one by one
    *((side({"instances": [[1], [2]]}), side(said), [
        {"f0": 1, "prediction": "dog", "probability_cat": 0.25, "probability_dog": 0.75},
        {"f0": 2, "prediction": "cat", "probability_cat": 0.625, "probability_dog": 0.375}]) for said in (
        {"predictions": [{"cat": 0.25, "dog": 0.75}, {"cat": 0.625, "dog": 0.375}]},
        {"predictions": [{"cat": "0.25", "dog": "0.75"}, {"cat": "0.625", "dog": "0.375"}]},
        [{"probabilities": {"cat": 0.25, "dog": 0.75}}, {"probabilities": {"cat": 0.625, "dog": 0.375}}],
        [{"label": "dog", "scores": {"cat": 0.25, "dog": 0.75}},
         {"label": "cat", "scores": {"cat": 0.625, "dog": 0.375}}],
        [[{"label": "dog", "score": 0.75}, {"label": "cat", "score": 0.25}],
         [{"label": "cat", "score": 0.625}, {"label": "dog", "score": 0.375}]],
        {"results": [[["cat", 0.25], ["dog", 0.75]], [["cat", 0.625], ["dog", 0.375]]]},
        {"predictions": [{"labels": ["dog", "cat"], "scores": [0.75, 0.25], "sequence": "x"},
                         {"labels": ["cat", "dog"], "scores": [0.625, 0.375], "sequence": "y"}]},
    )),
    (side({"inputs": "good"}), side([{"label": "POS", "score": 0.9}, {"label": "NEG", "score": 0.1}]),
     [{"inputs": "good", "prediction": "POS", "probability_POS": 0.9, "probability_NEG": 0.1}]),
    (side({"instances": [[1]]}), side({"scores": {"a": 3.5, "b": -1}}),
     [{"f0": 1, "prediction": "a", "scores_a": 3.5, "scores_b": -1}]),
    (side({"instances": [[1], [2]]}), side([{"low": 0.25, "high": 0.75}, {"low": 0.5, "high": 0.75}]),
     [{"f0": 1, "low": 0.25, "high": 0.75}, {"f0": 2, "low": 0.5, "high": 0.75}]),
    # numbers in quotes, lists and names that only wrap
    (side({"instances": [[1], [2]]}), side({"predictions": [["0.25", "0.75"], ["1", "0"]]}),
     [{"f0": 1, "prediction": 1, "probability": 0.75}, {"f0": 2, "prediction": 0, "probability": 0}]),
    *((side({"instances": [[[5]]]}), side(said), [{"f0": 5, "prediction": "cat"}]) for said in (
        {"predictions": [[["cat"]]]}, {"predictions": [{"prediction": [["cat"]]}]}, {"output": ["cat"]},
        {"predictions": {"prediction": "cat"}}, {"prediction": {"label": "cat"}},
        {"error": None, "predictions": ["cat"]},
    )),
    (side({"instances": [[1]]}), side({"prediction": [0.25, 0.75], "n": 3}),
     [{"f0": 1, "prediction": 1, "probability": 0.75, "n": 3}]),
    (side({"instances": [[1], [2]]}), side({"predictions": [None, 3]}),
     [{"f0": 1, "prediction": None}, {"f0": 2, "prediction": 3}]),
    # several rows of a request
    (side({"instances": [[1], [2]]}), side({"prediction": [4, 5], "probability": [0.5, 0.75], "build": 7}),
     [{"f0": 1, "prediction": 4, "probability": 0.5, "build": 7},
      {"f0": 2, "prediction": 5, "probability": 0.75, "build": 7}]),
    *((side(asked), side([0, 1]), [{"x": 1, "y": 3, "prediction": 0}, {"x": 2, "y": 4, "prediction": 1}])
      for asked in ({"x": [1, 2], "y": [3, 4]}, {"x": {"0": 1, "1": 2}, "y": {"0": 3, "1": 4}})),
    (side({"x": [1], "y": [3]}), side([0]), [{"x": 1, "y": 3, "prediction": 0}]),
    *((side(asked, CSV, "CSV"), side(said, CSV, "CSV"),
       [{"a": 1, "b": "u", "prediction": 0.5}, {"a": 2, "b": "v", "prediction": 0.75}])
      for asked in ("a,b\n1,u\n2,v", "a;b\n1;u\n2;v", "a\tb\r\n1\tu\r\n2\tv\r\n", 'a, b\n1, "u"\n2, "v"')
      for said in ("0.5\n0.75", "[0.5, 0.75]")),
    (side("1,2", CSV, "CSV"), side("prediction,score\ncat,0.5\n", CSV, "CSV"),
     [{"f0": 1, "f1": 2, "prediction": "cat", "probability": 0.5}]),
    (side("1,2\n3,4\n5,6", CSV, "CSV"), side("0.1,0.2,0.9", CSV, "CSV"),
     [{"f0": 1, "f1": 2, "prediction": 0.1}, {"f0": 3, "f1": 4, "prediction": 0.2},
      {"f0": 5, "f1": 6, "prediction": 0.9}]),
    (side("1,01234\n3,98765\nnan,", CSV, "BASE64"), side("0.1\n0.2\n.9", CSV, "BASE64"),
     [{"f0": 1, "f1": "01234", "prediction": 0.1}, {"f0": 3, "f1": "98765", "prediction": 0.2},
      {"f0": None, "f1": None, "prediction": 0.9}]),
    (side("1,2\n3,4", CSV, "CSV"), side({"predictions": [{"score": 0.1}, {"score": 0.7}]}, encoding="CSV"),
     [{"f0": 1, "f1": 2, "probability": 0.1}, {"f0": 3, "f1": 4, "probability": 0.7}]),
    (side('{"a": 1}\n{"a": 2}', LINES), side('{"score": 0.3}\n{"score": 0.9}\n', LINES, "BASE64"),
     [{"a": 1, "probability": 0.3}, {"a": 2, "probability": 0.9}]),
    (side({"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}), side([0, 1]),
     [{"a": 1, "prediction": 0}, {"a": 2, "prediction": 1}]),
    (side({"columns": ["a"], "data": [[1], [2]]}), side([0, 1]),
     [{"a": 1, "prediction": 0}, {"a": 2, "prediction": 1}]),
    (side({"inputs": {"x": [[1], [2]], "y": [[3, 4], [5, 6]]}}), side({"outputs": [[0.5], [1.5]]}),
     [{"x": 1, "y_0": 3, "y_1": 4, "prediction": 0.5}, {"x": 2, "y_0": 5, "y_1": 6, "prediction": 1.5}]),
    (side({"inputs": {"x": [1, 2]}}), side({"predictions": {"label": ["u", "v"], "score": [0.1, 0.9]}}),
     [{"x": 1, "prediction": "u", "probability": 0.1}, {"x": 2, "prediction": "v", "probability": 0.9}]),
    (side({"instances": [[1], [2]]}),
     side({"predictions": [0, 1], "probabilities": [[0.75, 0.25], [0.5, 0.5]], "n": 2}),
     [{"f0": 1, "prediction": 0, "probability": 0.25}, {"f0": 2, "prediction": 1, "probability": 0.5}]),
    (side({"input_data": {"columns": ["a"], "index": [0, 1], "data": [[1], [2]]}}), side([0, 1]),
     [{"a": 1, "prediction": 0}, {"a": 2, "prediction": 1}]),
    (side({"data": [[1, 2], [3, 4]]}), side({"result": [5, 6]}),
     [{"f0": 1, "f1": 2, "prediction": 5}, {"f0": 3, "f1": 4, "prediction": 6}]),
    (side({"Inputs": {"data": [{"a": 1}]}, "GlobalParameters": 1}), side({"Results": [9]}),
     [{"a": 1, "prediction": 9}]),
    (side({"meta": {}, "jsonData": {"a": 1}}), side({"meta": {}, "jsonData": {"prediction": 2}}),
     [{"a": 1, "prediction": 2}]),
    (side({"strData": "text"}),
     side({"data": {"names": ["t:0", "t:1"], "tensor": {"shape": [1, 2], "values": [0.25, 0.75]}}}),
     [{"strData": "text", "prediction": 1, "probability": 0.75}]),
    # tensors
    (side({"inputs": [tensor("x", [2, 1], [1, 2])]}), side({"model_name": "m", "outputs": [
        tensor("output-0", [2, 2], [0.1, 0.9, 0.8, 0.2])]}),
     [{"x": 1, "prediction": 1, "probability": 0.9}, {"x": 2, "prediction": 0, "probability": 0.2}]),
    (side({"inputs": [tensor("x", [1, 2], [[1, 2]])], "outputs": [{"name": "y", "datatype": "FP32"}]}),
     side({"outputs": [tensor("y", [1, 2], [3, 4])]}), [{"x_0": 1, "x_1": 2, "y_0": 3, "y_1": 4}]),
    (side({"inputs": [tensor("x", [2, 1], ["aGVsbG8=", "/w=="], parameters={"content_type": "base64"})]}),
     side({"outputs": [tensor("label", [2], [0, 1]), tensor("output_probability", [2, 2], [0.1, 0.9, 0.8, 0.2])]}),
     [{"x": "hello", "prediction": 0, "probability": 0.9}, {"x": "/w==", "prediction": 1, "probability": 0.2}]),
])
def test_a_body_in_each_form(tmp_path: Path, asked: Json, said: Json, expected: list[Json]) -> None:
    """Each row has the values as they were sent, under the names that they have; nothing is lost or taken for other."""
    (tmp_path / "a.jsonl").write_text(json.dumps(sagemaker(asked, said)))
    found, told = rows_of(tmp_path)
    assert told["not used"] == "none"
    assert [row.pop("id") for row in found] == (["r"] if len(found) == 1 else [f"r-{at}" for at in range(len(found))])
    assert [{name: value for name, value in row.items() if name != "timestamp"} for row in found] == expected


@pytest.mark.parametrize(("asked", "said", "why"), [
    ({"instances": [[1], [2]]}, {"error": "bad"}, "a request that failed"),
    ({"instances": [[1]]}, {"error_code": "BAD_REQUEST", "message": "m"}, "a request that failed"),
    *(({"instances": [[1]]}, said, "a request that failed") for said in (
        {"detail": "Not found"}, {"message": "Internal Server Error"}, {"error": "bad", "predictions": None},
        {"errorMessage": "m", "errorType": "T", "requestId": "i"}, {"status": "error"},
        {"predictions": [{"error": {"code": 3}}]}, {"type": "a:b", "title": "t", "status": 500, "detail": "d"})),
    *(({"instances": [[1]]}, json.loads(said), "a body without content")
      for said in ("null", "{}", "[]", '{"predictions": []}', '{"predictions": null}', '{"outputs": []}')),
    ({"instances": []}, {"predictions": []}, "a body without content"),
    ({"inputs": [tensor("x", [1], [1])]}, {"outputs": [
        {"name": "y", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]},
     "a tensor without data in JSON"),
    ({"inputs": [tensor("x", [1], [1]), tensor("x", [1], [2])]}, [1], "two tensors for one column"),
    ({"inputs": [tensor("x_0", [1, 1], [1]), tensor("x", [1, 2], [1, 2])]}, [1], "two tensors for one column"),
    ({"columns": ["a", "a"], "data": [[1, 2]]}, [1], "two columns of one name"),
    ({"data": {"names": ["a", "a"], "ndarray": [[1, 2]]}}, [1], "two columns of one name"),
    ({"instances": [[1], [2], [3]]}, [1, 2], "a request with another number of answers than of inputs"),
])
def test_what_is_no_row_is_counted(tmp_path: Path, asked: Json, said: Any, why: str) -> None:
    good = sagemaker(side({"instances": [[1]]}), side([5]), "good")
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(sagemaker(side(asked), side(said)))}\n")
    found, told = rows_of(tmp_path)
    assert {row["prediction"] for row in found} == {5, None}
    assert told["not used"] == f"1 {why}"


@pytest.mark.parametrize(("asked", "kind", "why"), [
    ("1,2\n3", CSV, "rows of CSV of different lengths"), ("", CSV, "an empty body"),
    ("a,a\n1,2", CSV, "two columns of one name"), ("1 1:0.5 2:3", "text/libsvm", "a body of libsvm, which is not read"),
])
def test_text_that_is_no_row_is_counted(tmp_path: Path, asked: str, kind: str, why: str) -> None:
    good, bad = (sagemaker(side(text, form, "CSV"), side("5", CSV, "CSV"), id)
                 for text, form, id in (("1,2", CSV, "good"), (asked, kind, "bad")))
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    assert rows_of(tmp_path)[1]["not used"] == f"1 {why}"


@pytest.mark.parametrize(("at", "reading"), [
    ("2026-01-01 00:00:01 UTC", 1), ("2026-01-01T02:00:01.000000000+02:00", 1), ("1 Jan 2026 00:00:01", 1),
    (1767225601, 1), (1767225601.0, 1), (1767225601000, 1), ("1767225601000", 1), (1767225601000000, 1),
    *((odd, None) for odd in ("never", "2026-02-30T00:00:00Z", 1e300, float("inf"), True, ["x"], {"a": 1})),
])
def test_a_time_of_any_form(tmp_path: Path, at: Any, reading: int | None) -> None:
    """What is no time is counted, and keeps no other row from being read."""
    records = [sagemaker(side({"instances": [[at]]}), side([at]), str(at)) for at in range(2)]
    records[1]["eventMetadata"]["inferenceTime"] = at
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    found, told = rows_of(tmp_path)
    assert [row["timestamp"].second for row in found if row["timestamp"]] == ([0] if reading is None else [0, reading])
    assert told["not used"] == ("1 a time that is none" if reading is None else "none")


def test_a_sentence_names_the_file_of_the_capture(tmp_path: Path) -> None:
    """Not the one that its rows were converted to."""
    record = sagemaker(side({"instances": [{"a": {"b": 1}, "a.b": 2}]}), side([5]))
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    with pytest.raises(SourceError, match=r"/a\.jsonl: column a\.b occurs twice"):
        rows_of(tmp_path)


EVENTS = [{"specversion": "1.0", "id": f"r{at}", "time": AT, "type": f"org.kubeflow.serving.inference.{kind}",
           "data": {name: [value]}}
          for at in range(3) for kind, name, value in (("request", "instances", [at]), ("response", "predictions", at))]
TEXTS = [json.dumps(event) for event in EVENTS]


@pytest.mark.parametrize(("name", "text", "unusable"), [
    ("a.jsonl", "\n" + "\n".join(TEXTS), "none"), ("a.jsonl", "\ufeff" + "\n".join(TEXTS), "none"),
    ("a.jsonl", "\n".join(json.dumps(EVENTS[at : at + 2]) for at in (0, 2, 4)), "none"),
    ("a.json", json.dumps(EVENTS, indent=1), "none"), ("a.json", "".join(TEXTS), "none"),
    ("a.json", "\n".join(json.dumps(event, indent=1) for event in EVENTS), "none"),
    ("a.json", "\n".join([*(json.dumps(event, indent=1) for event in EVENTS), '{"spec']), "none"),
    ("a.jsonl", "\n".join(['{"specversion": "1.', *TEXTS]), "1 no record of KServe inference logger"),
    ("a.jsonl", "\n".join([*TEXTS[:2], "no JSON", *TEXTS[2:]]), "1 no record of KServe inference logger"),
    ("a.jsonl.gz", "\n".join(TEXTS), "none"), ("a.json.gz", "".join(TEXTS), "none"),
    ("events", "\n".join(TEXTS), "none"),
    ("a.json", json.dumps([*EVENTS, *({**EVENTS[0], "id": "x" * 2000} for _ in range(700))]), None),
], ids=["blank first line", "byte order mark", "a batch a line", "one list", "no line ends", "indented",
        "indented and unfinished", "first line broken", "a line broken", "gzip", "gzip without line ends", "no ending",
        "a list of more than a glance"])
def test_records_however_they_are_written(tmp_path: Path, name: str, text: str, unusable: str | None) -> None:
    """Each record is found, and a file that is empty yet does not hide what the others are."""
    (tmp_path / "capture").mkdir()
    (tmp_path / "capture/0.jsonl").touch()
    data = text.encode()
    (tmp_path / "capture" / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found, told = rows_of(tmp_path / "capture")
    rows = [(row["id"], row["f0"], row["prediction"]) for row in found if row["timestamp"]]
    assert rows == [("r0", 0, 0), ("r1", 1, 1), ("r2", 2, 2)]
    assert told["not used"] == unusable or unusable is None


@pytest.mark.parametrize(("request_body", "status"), [
    ({"dataframe_records": [{"x": 1}]}, 200), (json.dumps({"dataframe_records": [{"x": 1}]}), "200"),
])
def test_inference_tables_as_exported(tmp_path: Path, request_body: Any, status: Any) -> None:
    """An export may have JSON where the table has text, and text where it has a number."""
    (tmp_path / "a.jsonl").write_text(json.dumps({
        "databricks_request_id": "d", "request_time": AT, "status_code": status, "request": request_body,
        "response": '{"predictions": [4]}'}))
    assert [(row["x"], row["prediction"]) for row in rows_of(tmp_path)[0]] == [(1, 4)]


def test_inputs_and_outputs_of_one_collector(tmp_path: Path) -> None:
    """Azure ML's collector may write both into one record."""
    (tmp_path / "a.jsonl").write_text(json.dumps({
        "specversion": "1.0", "type": "azureml.inference.model_inputs_outputs", "time": AT, "correlationid": "c",
        "data": [{"x": 1, "prediction": 0, "probability": 0.25}]}))
    [row] = rows_of(tmp_path)[0]
    assert (row["x"], row["prediction"], row["probability"]) == (1, 0, 0.25)
