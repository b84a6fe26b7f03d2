import Logging
import RedisDriver
import Stock
import Synchronization

/// Listens to the servers' `stock.soldout` and `stock.onsale`, and keeps the sold-out cache in step with them.
///
/// The cache is said to be watched only while every server is heard. In a cluster the servers are its masters, as they
/// come and go.
final class SoldOutWatch: Sendable {
  private struct Server {
    let name: String
    var state: SoldOutWatchState
    var subscription: RedisSubscription?
  }

  private struct State {
    /// By their URLs: each database of a server has events of its own.
    var servers: [String: Server] = [:]
    var isClosed = false
  }

  private let state = Mutex(State())
  private let cache: SoldOutCache
  private let verified: VerifiedBuckets
  /// Those that don't change; of a cluster none.
  private let servers: [RedisClient]
  private let cluster: RedisCluster?
  private let logger: Logger
  private let clock = DeadlineClock()

  /// What `notify-keyspace-events` has to contain: `E` for events by their name, `d` for those of modules (`A` has it).
  static let neededFlags = "Ed"

  init(_ router: RedisRouter, _ cache: SoldOutCache, _ verified: VerifiedBuckets, logger: Logger) {
    self.cache = cache
    self.verified = verified
    self.logger = logger
    cluster = router.cluster
    servers = router.clients
    follow()
    cluster?.onMasters { [weak self] _ in self?.follow() }
  }

  /// How each server is heard, by its name.
  var status: [SoldOutWatchStatus] {
    state.withLock { $0.servers.values.map { SoldOutWatchStatus(server: $0.name, state: $0.state) } }
      .sorted { $0.server < $1.server }
  }

  func close() async {
    cluster?.onMasters(nil)
    let subscriptions = state.withLock { state in
      state.isClosed = true
      defer { state.servers = [:] }
      return state.servers.values.compactMap(\.subscription)
    }
    cache.watch(false)
    for subscription in subscriptions { await subscription.close() }
  }

  /// Comes into step with the servers as they are now.
  private func follow() {
    state.withLock { state in
      guard !state.isClosed else { return }
      // Asked for under the lock, so that of two who come at once the later one has the later answer.
      let clients = cluster.map { Array($0.masters.values) } ?? servers
      let urls = Set(clients.map(\.url.description))
      state.servers = state.servers.filter { urls.contains($0.key) }
      for client in clients where state.servers[client.url.description] == nil {
        let subscription = try? subscribe(client)
        let server = Server(name: client.url.server, state: .connecting, subscription: subscription)
        state.servers[client.url.description] = server
      }
    }
    judge()
  }

  private func subscribe(_ client: RedisClient) throws(RedisError) -> RedisSubscription {
    let url = client.url.description
    let prefix = "__keyevent@\(client.url.database)__:"
    return try client.subscribe(
      to: [prefix + "stock.soldout", prefix + "stock.onsale"],
      inquiry: RedisCommand("CONFIG", "GET", "notify-keyspace-events")
    ) { [weak self] event in
      self?.heard(event, from: url)
    }
  }

  /// On the I/O thread.
  private func heard(_ event: SubscriptionEvent, from url: String) {
    switch event {
    case .message(let channel, let key, let after):
      guard let bucket = BucketID(key: key) else { return }
      if channel.hasSuffix("stock.onsale") {
        cache.clear(bucket.sku)
      } else if verified.isOnly(bucket) {
        // It has no unit left, and there is no other bucket that could.
        cache.declare(bucket.sku, quantity: 1, asOf: clock.instant(of: after))
      }
    case .up(let answer): enter(Self.state(by: answer), url)
    case .down(let cause): enter(.down(cause.message), url)
    }
  }

  private func enter(_ new: SoldOutWatchState, _ url: String) {
    let old = state.withLock { state -> SoldOutWatchState? in
      guard let old = state.servers[url]?.state else { return nil }
      state.servers[url]?.state = new
      return old
    }
    guard let old, old != new else { return }
    if case .deaf(let why) = new {
      logger.notice(
        "The sold-out cache works with a shorter bound: it does not hear of restocks",
        metadata: ["server": "\(url)", "cause": "\(why)"]
      )
    }
    judge()
  }

  private func judge() {
    state.withLock { state in
      let isWhole = !state.servers.isEmpty && state.servers.values.allSatisfy { $0.state == .watching }
      cache.watch(isWhole)
    }
  }

  /// By the answer to `CONFIG GET`.
  static func state(by answer: RESPValue?) -> SoldOutWatchState {
    let advice = "CONFIG SET notify-keyspace-events \(neededFlags)"
    guard let parts = answer?.array, parts.count == 2, let flags = parts[1].string else {
      let why = if case .error(let text)? = answer { ServerError.shown(text) } else { "no answer to CONFIG GET" }
      return .deaf("whether notify-keyspace-events contains \(neededFlags) can't be learnt: \(why)")
    }
    guard flags.contains("E"), flags.contains("d") || flags.contains("A") else {
      return .deaf("notify-keyspace-events is \"\(flags)\"; it must contain E and d: \(advice)")
    }
    return .watching
  }
}

/// Whether a server's events keep the sold-out cache in step.
public enum SoldOutWatchState: Hashable, Sendable {
  case connecting
  case watching
  /// The server sends no such events, or it can't be learnt whether it does. It says what is needed.
  case deaf(String)
  case down(String)
}

public struct SoldOutWatchStatus: Hashable, Sendable {
  public var server: String
  public var state: SoldOutWatchState

  public init(server: String, state: SoldOutWatchState) {
    self.server = server
    self.state = state
  }
}

extension StockClient {
  /// How the sold-out cache hears of changes elsewhere, server by server; empty where there is no cache, or the client
  /// was not made by ``connect(_:configuration:options:)``.
  public var soldOutWatch: [SoldOutWatchStatus] { watch?.status ?? [] }
}
