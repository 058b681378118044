"""The names of Evidently's report metrics that a table of options can describe; a test holds them equal to its own.

Left out are those that need more: `GroupBy` and `RowTestSummary` (another metric, tests) and those of
recommendations (users and items).
"""

METRICS = (
    "AbsMaxError", "Accuracy", "AlmostConstantColumnsCount", "AlmostDuplicatedColumnsCount", "CategoryCount",
    "ColumnCorrelationMatrix", "ColumnCorrelations", "ColumnCount", "ConstantColumnsCount", "CorrelationMatrix",
    "DatasetCorrelations", "DatasetMissingValueCount", "DriftedColumnsCount", "DummyAccuracy", "DummyF1Score",
    "DummyFNR", "DummyFPR", "DummyLogLoss", "DummyMAE", "DummyMAPE", "DummyPrecision", "DummyRMSE", "DummyRecall",
    "DummyRocAuc", "DummyTNR", "DummyTPR", "DuplicatedColumnsCount", "DuplicatedRowCount", "EmbeddingsDrift",
    "EmptyColumnsCount", "EmptyRowsCount", "F1ByLabel", "F1Score", "FNR", "FPR", "InListValueCount",
    "InRangeValueCount", "LogLoss", "MAE", "MAPE", "MaxValue", "MeanError", "MeanValue", "MedianValue", "MinValue",
    "MissingValueCount", "OutListValueCount", "OutRangeValueCount", "Precision", "PrecisionByLabel", "QuantileValue",
    "R2Score", "RMSE", "Recall", "RecallByLabel", "RocAuc", "RocAucByLabel", "RowCount", "StdValue", "SumValue",
    "TNR", "TPR", "UniqueValueCount", "ValueDrift",
)
