import Testing

/// All suites of this target, one after the other: each has servers, processes and a crowd of its own.
@Suite(.serialized) enum SpreadSales {}
