import Logging
import Messaging
import RedisDriver
import RedisStreams
import StockClient

/// Where the messages are to be.
enum BrokerChoice {
  case own(RedisURL, setting: String)
  /// On the server of the stock; of a list, on its first.
  case onStockServer
  /// A cluster keeps none, and no server was named.
  case nowhere

  static let clusterNeedsOne = """
    --broker: the Redis Cluster of --redis keeps no messages; name a server for them: redis-streams://host:port
    """

  /// - Throws: ``CommandFailure`` for a URL that is none, and where messages are needed and there is no place for them.
  init(_ choice: ServerChoice, _ stock: RedisServers, _ needs: ServerNeeds) throws {
    if let url = choice.brokerURL {
      do {
        self = .own(try RedisURL(url), setting: choice.brokerSetting)
      } catch {
        throw CommandFailure("\(choice.brokerSetting): \(error.message)")
      }
      return
    }
    switch stock {
    case .one, .list: self = .onStockServer
    case .cluster:
      guard !needs.contains(.broker) else { throw CommandFailure(Self.clusterNeedsOne) }
      self = .nowhere
    }
  }

  func open(
    beside stock: StockClient,
    _ needs: ServerNeeds,
    _ checks: CheckSettings,
    _ connection: RedisClient.Configuration
  ) async throws -> Broker {
    func streams(_ client: RedisClient) -> RedisStreamsBroker {
      RedisStreamsBroker(client, options: checks.brokerOptions, logger: connection.logger)
    }
    switch self {
    case .own(let url, let setting):
      let client = try RedisClient(url, configuration: connection)
      let broker = Broker(streams: streams(client), client: client)
      do {
        if needs.contains(.broker) { try await client.connect() }
        return broker
      } catch {
        await broker.close()
        throw CommandFailure("\(setting): \(error)")
      }
    case .onStockServer:
      // It shares the connection and I/O thread, so that a purchase never changes threads.
      guard let first = stock.router.clients.first else { throw CommandFailure(Self.clusterNeedsOne) }
      return Broker(streams: streams(first), client: nil)
    case .nowhere: return Broker(streams: nil, client: nil)
    }
  }
}

/// The broker of a deployment, with what has to be closed behind it.
struct Broker: Sendable {
  fileprivate let streams: RedisStreamsBroker?
  /// Its own connection; nil where it shares the stock's.
  fileprivate let client: RedisClient?

  var broker: any MessageBroker { streams ?? (MissingBroker() as any MessageBroker) }

  func close() async {
    await streams?.close()
    await client?.close()
  }
}

/// Stands where no server for messages was named. Sales that need none never come to it.
private struct MissingBroker: MessageBroker {
  private var error: MessagingError { MessagingError(.refused, BrokerChoice.clusterNeedsOne) }

  func sendHalf(_ message: Message) async throws(MessagingError) -> HalfMessage { throw error }

  func commit(_ half: HalfMessage) async throws(MessagingError) -> CommitAnswer { throw error }

  func rollBack(_ half: HalfMessage) async throws(MessagingError) { throw error }

  func send(_ message: Message) async throws(MessagingError) { throw error }

  func subscribe(_ group: ConsumerGroup, to topic: Topic) async throws(MessagingError) { throw error }

  func serveChecks(of topic: Topic, by checker: some MessageChecker) async throws(MessagingError) { throw error }

  func consume(
    _ topic: Topic,
    as group: ConsumerGroup,
    batchMax: Int,
    handler: some MessageHandler
  ) async throws(MessagingError) { throw error }

  func trim(_ topic: Topic) async throws(MessagingError) -> Int { throw error }

  func status(of topic: Topic, for group: ConsumerGroup) async throws(MessagingError) -> TopicStatus { throw error }

  func setAside(
    _ kind: SetAsideMessage.Kind,
    in topic: Topic,
    after id: String?,
    count: Int
  ) async throws(MessagingError) -> [SetAsideMessage] { throw error }

  func resume(_ kind: SetAsideMessage.Kind, id: String, in topic: Topic) async throws(MessagingError) -> Bool {
    throw error
  }
}
