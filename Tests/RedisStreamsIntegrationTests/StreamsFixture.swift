import BrokerContract
import Messaging
import RedisDriver
import RedisStreams
import TestServers

/// A private redis-server, durable with every write, and brokers whose delays are tens of milliseconds.
struct StreamsFixture: BrokerFixture {
  let server: RedisServer
  var options = Self.quick

  init(_ configLines: [String] = [], tcp: Bool = false) throws {
    server = try RedisServer(
      RedisServerOptions(module: .none, appendOnly: true, appendFsync: .always, tcp: tcp, configLines: configLines)
    )
  }

  static let quick = RedisStreamsOptions(
    checkAfter: .milliseconds(60),
    checkInterval: .milliseconds(10),
    checkDelay: .milliseconds(20),
    checkDelayMax: .milliseconds(100),
    checksMax: 4,
    checksAtOnce: 32,
    retryDelay: .milliseconds(20),
    retryDelayMax: .milliseconds(200),
    failuresMax: 4,
    visibility: .seconds(1),
    pollInterval: .milliseconds(10),
    trimInterval: .milliseconds(50),
    consumerIdleMax: .seconds(600),
    backOffMax: .milliseconds(100)
  )

  var timing: BrokerTiming {
    BrokerTiming(
      checkAfter: options.checkAfter,
      checkDelay: options.checkDelay,
      checksMax: options.checksMax,
      retryDelay: options.retryDelay,
      failuresMax: options.failuresMax,
      visibility: options.visibility
    )
  }

  /// A broker of its own connections. Patience is short, so that a server that is away is soon noticed.
  func makeBroker(user: String? = nil, password: String? = nil, patience: Duration = .seconds(10)) throws
    -> RedisStreamsBroker
  {
    let url = RedisURL(endpoint: .unix(path: server.socketPath), user: user, password: password)
    let configuration = RedisClient.Configuration(
      patience: patience,
      backOff: BackOff(first: .milliseconds(5), longest: .milliseconds(50))
    )
    return try RedisStreamsBroker(url, options: options, configuration: configuration)
  }

  func startProcess() async throws -> BrokerProcess {
    let broker = try makeBroker()
    return BrokerProcess(broker: broker) { await broker.close() }
  }

  func crashServer() async throws {
    try server.kill9()
    try server.restart()
  }
}
