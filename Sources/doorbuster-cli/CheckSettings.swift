import Doorbuster
import RedisStreams

/// When and how often half messages without an answer are checked.
struct CheckSettings: Sendable {
  static let afterMsBounds: ClosedRange<Int64> = 100...86_400_000
  static let checksMaxBounds: ClosedRange<Int64> = 1...1023

  /// Age in ms of a half message at its first check; nil for 10 s.
  var afterMs: Int64?
  /// Checks without a decision after which it is parked; nil for 15.
  var checksMax: Int64?
  /// Events that stay in a bucket's log; nil for 100,000.
  var logKept: Int64?

  var brokerOptions: RedisStreamsOptions {
    var options = RedisStreamsOptions(checkAfter: configuration.firstCheck)
    options.checkDelay = min(options.checkDelay, options.checkAfter)
    if let checksMax { options.checksMax = Int(checksMax) }
    return options
  }

  /// The other bounds of time move along where they depend on the first check.
  var configuration: DoorbusterConfiguration {
    var configuration = DoorbusterConfiguration()
    if let logKept { configuration.logKept = Int(logKept) }
    guard let afterMs else { return configuration }
    configuration.firstCheck = .milliseconds(afterMs)
    configuration.purchaseDeadline = min(configuration.purchaseDeadline, configuration.firstCheck / 2)
    configuration.storeFromLogAfter = max(configuration.storeFromLogAfter, configuration.firstCheck)
    configuration.cartHold = max(configuration.cartHold, configuration.firstCheck * 4)
    return configuration
  }
}
