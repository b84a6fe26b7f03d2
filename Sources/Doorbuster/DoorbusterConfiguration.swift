import Messaging
import Stock

/// How an orchestrator runs. All processes of a deployment share topic, group and first check.
public struct DoorbusterConfiguration: Sendable {
  /// Carries the purchases.
  public var topic = Topic("doorbuster.purchases")
  /// The workers that bring them into the database.
  public var group = ConsumerGroup("doorbuster.orders")

  /// When the broker first checks a half message without an answer; as configured there.
  public var firstCheck: Duration = .seconds(10)
  /// From a purchase's start, after which no deduction is sent. Shorter than ``firstCheck``, so that a check seldom
  /// meets a deduction under way (where it does, `FENCE` decides).
  public var purchaseDeadline: Duration = .seconds(3)
  /// A live purchase of this age without an order is stored from the log. At least ``firstCheck``.
  public var storeFromLogAfter: Duration = .seconds(15)

  /// How long a cart's lines are held until they are confirmed; at least four times ``firstCheck``, in whole ms.
  ///
  /// A cart whose orchestrator dies is decided by its first check; what is left of this time is for the workers to confirm its
  /// lines. One that is not decided or confirmed by then, because a server can't be reached for so long, is over: its
  /// lines go back on sale by themselves. All processes of a deployment share it: by the length of a hold a worker
  /// tells a cart's from a buyer's. (A buyer's own hold of exactly that length is made 1 ms longer.)
  public var cartHold: Duration = .seconds(120)

  /// Refused purchases whose half message is being rolled back behind the answer's back. Beyond it the answer waits.
  public var rollBacksMax = 8192
  /// How many roll-backs are sent at a time.
  public var rollBackLanes = 16

  /// Loops that consume messages, in one worker.
  public var consumers = 1
  /// Messages in one batch, and so orders in one call of the store. 1 to 10,000.
  public var batchMax = 512
  /// Log events in one transaction of the database. 1 to 10,000.
  public var logBatchMax = 8000
  /// How often a bucket's log is read while something happens in it; it is read more seldom while nothing does.
  public var logInterval: Duration = .milliseconds(200)
  /// The same where the log delivers.
  public var logDeliveryInterval: Duration = .milliseconds(20)
  /// Events of a bucket's log that stay when the database has them, so that reconciling can name their purchases and write
  /// orders anew that were lost; older purchases it can tell only by their sums. An event takes about 60 bytes more than
  /// its token alone. 0 to 100,000,000.
  public var logKept = 100_000
  /// How long a bucket is a worker's without its asking again, and so how long the buckets of a dead one are left alone.
  /// Longer where there are many sales: 100 ms for each. 100 ms to an hour.
  public var bucketLease: Duration = .seconds(3)
  /// How buckets that lost data are completed.
  public var recovery = RecoverySettings()
  /// How often the topic is trimmed and new sales are looked for.
  public var upkeepInterval: Duration = .seconds(1)

  public init() {}

  /// - Throws: ``InvalidInput`` that names the setting, its value and what it must be.
  func validate() throws(InvalidInput) {
    guard purchaseDeadline > .zero, purchaseDeadline < firstCheck else {
      throw InvalidInput(
        argument: "purchaseDeadline",
        value: "\(purchaseDeadline)".utf8,
        requirement: "longer than 0 and shorter than the broker's first check, \(firstCheck)"
      )
    }
    guard storeFromLogAfter >= firstCheck else {
      throw InvalidInput(
        argument: "storeFromLogAfter",
        value: "\(storeFromLogAfter)".utf8,
        requirement: "at least the broker's first check, \(firstCheck)"
      )
    }
    guard cartHold >= firstCheck * 4, cartHold == .milliseconds(cartHold.wholeMs) else {
      throw InvalidInput(
        argument: "cartHold",
        value: "\(cartHold)".utf8,
        requirement: "at least four times the broker's first check, \(firstCheck * 4), in whole ms"
      )
    }
    try Self.check("rollBacksMax", rollBacksMax, in: 0...1_000_000)
    try Self.check("rollBackLanes", rollBackLanes, in: 1...1024)
    try Self.check("consumers", consumers, in: 1...256)
    try Self.check("batchMax", batchMax, in: 1...10_000)
    try Self.check("logBatchMax", logBatchMax, in: 1...10_000)
    try Self.check("logKept", logKept, in: 0...100_000_000)
    try Self.check("logInterval", logInterval)
    try Self.check("logDeliveryInterval", logDeliveryInterval)
    guard bucketLease >= .milliseconds(100), bucketLease <= .seconds(3600) else {
      throw InvalidInput(argument: "bucketLease", value: "\(bucketLease)".utf8, requirement: "100 ms to 1 h")
    }
    try Self.check("upkeepInterval", upkeepInterval)
    try recovery.validate()
  }

  /// A buyer's hold, which is never as long as a cart's.
  func toldFromCarts(_ holdMs: Int64?) -> Int64? { holdMs == cartHold.wholeMs ? cartHold.wholeMs + 1 : holdMs }

  private static func check(_ name: String, _ value: Int, in bounds: ClosedRange<Int>) throws(InvalidInput) {
    guard bounds.contains(value) else {
      throw InvalidInput(
        argument: name,
        value: String(value).utf8,
        requirement: "\(bounds.lowerBound) to \(bounds.upperBound)"
      )
    }
  }

  private static func check(_ name: String, _ value: Duration) throws(InvalidInput) {
    guard value >= .milliseconds(1) else {
      throw InvalidInput(argument: name, value: "\(value)".utf8, requirement: "at least 1 ms")
    }
  }
}

extension Duration {
  /// Whole milliseconds, cut off.
  var wholeMs: Int64 {
    let (seconds, attoseconds) = components
    return seconds &* 1000 &+ attoseconds / 1_000_000_000_000_000
  }
}
