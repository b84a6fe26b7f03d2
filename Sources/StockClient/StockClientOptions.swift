import RedisDriver
import Stock

/// What a ``StockClient`` may be told besides its servers.
public struct StockClientOptions: Sendable {
  /// How many replicas must have a change before it is answered. Where they have not in time, a deduction's outcome is
  /// unknown and other changes throw `replyLost`: the change is made, and may be lost with the master. Nil: the master's
  /// word is enough.
  ///
  /// One `WAIT` serves all changes that a server answered before it, and holds up what follows on the same connection.
  /// Where a reply tells of an earlier change (`DUPLICATE`, `LIVE`), a `SET` of the key `doorbuster:{SKU/N}:replicated`, which
  /// expires within a second, goes before it.
  public var replication: Replication?
  /// In a cluster, whether ``StockClient/info(_:)``, ``StockClient/purchase(_:in:)``, ``StockClient/log(_:after:count:)``
  /// and ``StockClient/transfers(_:settled:after:count:)`` go to replicas, whose answers may be out of date.
  public var readsFromReplicas: Bool
  /// Cleared by this client's own changes and by the servers' events, where it is connected by
  /// ``StockClient/connect(_:configuration:options:)``.
  public var soldOut: SoldOutCache?

  public init(replication: Replication? = nil, readsFromReplicas: Bool = false, soldOut: SoldOutCache? = nil) {
    self.replication = replication
    self.readsFromReplicas = readsFromReplicas
    self.soldOut = soldOut
  }
}

extension Replication {
  /// What is said of a change that replicas are not known to have; nil where they are.
  func shortfall(_ verdict: ReplicaVerdict) -> String? {
    switch verdict {
    case .replicated: nil
    case .tooFew: "carried out, but fewer than \(count) replicas had it within \(timeout)"
    case .untold(let error):
      "carried out, but whether \(count) replicas have it could not be learnt: \(ServerError.shown(error.message))"
    }
  }
}

extension StockClient {
  /// This client with reads that may be out of date: for displays and forecasts, never for decisions.
  public var readingFromReplicas: StockClient {
    var options = options
    options.readsFromReplicas = true
    return StockClient(router, options: options, verified: verified, watch: watch)
  }
}
