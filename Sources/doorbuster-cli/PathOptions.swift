import ArgumentParser
import Orders
import Stock

/// How a sale that is set up sells.
struct PathOptions: ParsableArguments {
  static let bucketsUnlessTold: Int64 = 4

  @Option(
    help: ArgumentHelp(
      "How it sells: database, redis-mq, buckets or combined; redis-mq unless told.",
      discussion: """
        database: the database decides, without Redis. redis-mq: one bucket in Redis; messages carry what was accepted. \
        buckets: many buckets, whose logs carry it. combined: many buckets and messages.
        """,
      valueName: "path"
    ),
    transform: Parse.path
  )
  var path: SalePath = .redisMQ

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Parts that the stock is split into on the paths buckets and combined: 1 to 16384; 4 unless told.",
      valueName: "n"
    ),
    transform: Parse.number("--buckets", 1...16_384)
  )
  var buckets: Int64?

  /// The sale's number of buckets.
  var bucketCount: Int {
    switch path {
    case .database, .redisMQ: 1
    case .buckets, .combined: Int(buckets ?? Self.bucketsUnlessTold)
    }
  }

  func validate() throws {
    guard let buckets, buckets != 1 else { return }
    switch path {
    case .database, .redisMQ:
      throw ValidationError("--buckets is '\(buckets)'; it must be 1 on the path \(path.rawValue)")
    case .buckets, .combined: return
    }
  }
}
