import Messaging

/// What any broker behind the seam does, as behaviours to run one by one, each on a fixture of its own.
///
/// A behaviour throws ``BrokerContractViolation`` where the broker does otherwise. It waits for conditions, never for
/// a guessed time, except where the passing of time is what it is about.
public enum BrokerContract {
  public static let behaviours: [BrokerBehaviour] =
    halfMessages + checkBacks + deliveries + retries + workers + storage
}

public struct BrokerBehaviour: Sendable, CustomStringConvertible {
  /// What the broker does, as a sentence.
  public let sentence: String
  public let run: @Sendable (any BrokerFixture) async throws -> Void

  init(_ sentence: String, _ run: @escaping @Sendable (any BrokerFixture) async throws -> Void) {
    self.sentence = sentence
    self.run = run
  }

  public var description: String { sentence }
}

/// A broker's server with nothing stored, and as many processes that use it as a test likes.
public protocol BrokerFixture: Sendable {
  /// How the brokers of ``startProcess()`` are set. Tens of milliseconds, so that the suite is quick.
  var timing: BrokerTiming { get }

  /// A broker as a process of its own has it.
  func startProcess() async throws -> BrokerProcess

  /// Kills the server as a crash does, and starts it again on what it had stored.
  func crashServer() async throws
}

/// The delays and bounds that the behaviours count on.
public struct BrokerTiming: Sendable {
  public var checkAfter: Duration
  /// The delay after the first check without a decision; it grows.
  public var checkDelay: Duration
  public var checksMax: Int
  /// The delay before the first redelivery; it doubles at first.
  public var retryDelay: Duration
  public var failuresMax: Int
  /// How long a worker may keep a message without a sign of life.
  public var visibility: Duration
  /// The longest that a behaviour waits for what must come.
  public var patience: Duration

  public init(
    checkAfter: Duration,
    checkDelay: Duration,
    checksMax: Int,
    retryDelay: Duration,
    failuresMax: Int,
    visibility: Duration,
    patience: Duration = .seconds(20)
  ) {
    self.checkAfter = checkAfter
    self.checkDelay = checkDelay
    self.checksMax = checksMax
    self.retryDelay = retryDelay
    self.failuresMax = failuresMax
    self.visibility = visibility
    self.patience = patience
  }
}

/// A broker and the end of its process.
public struct BrokerProcess: Sendable {
  public let broker: any MessageBroker
  /// Cuts the broker off from its server for good, whatever it is doing: as the end or the death of its process does.
  public let end: @Sendable () async -> Void

  public init(broker: any MessageBroker, end: @escaping @Sendable () async -> Void) {
    self.broker = broker
    self.end = end
  }
}

public struct BrokerContractViolation: Error, CustomStringConvertible {
  public let description: String
}
