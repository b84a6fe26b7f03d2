import Messaging
import Orders
import Stock

/// How a sale stands: what the database, each bucket and the broker say, one after the other.
public struct SaleStatus: Hashable, Sendable {
  public struct Bucket: Hashable, Sendable {
    public var index: Int
    /// Its books; nil where it can't be read, and ``problem`` says why.
    public var info: BucketInfo?
    public var problem: String?
    /// How far the database has followed its log; nil before the first time.
    public var followed: LogPosition?
    /// The server that has it; nil where that is not known.
    public var server: String?
    /// The halves of transfers that are open in it, oldest first, the first 1,000.
    public var transfers: [OpenHalf] = []

    /// Whether the database has all that the bucket did.
    public var isFollowed: Bool {
      guard let info, let followed else { return false }
      return followed.epoch == info.epoch && followed.sequence >= info.logLast
    }
  }

  /// One bucket's half of a transfer that is not settled.
  public struct OpenHalf: Hashable, Sendable {
    public var transfer: Transfer
    /// How long it has been open, by this process' clock and the bucket's.
    public var ageMs: Int64
  }

  public var sale: Sale
  public var totals: SaleTotals
  /// None on the path `database`.
  public var buckets: [Bucket]
  /// The topic's, of all sales; nothing where the sale does not deliver by messages.
  public var messages: TopicStatus

  /// Whether nothing is on its way: no message that is half or unacknowledged, no log event that the database lacks.
  /// Parked and dead messages are settled; they wait for an operator.
  public var isSettled: Bool {
    messages.half == 0 && messages.unacknowledged == 0 && buckets.allSatisfy(\.isFollowed)
  }
}

extension Doorbuster {
  /// - Throws: ``DoorbusterError`` `unknownSale`, `orders`, `messaging`. A bucket that can't be read is no error: its
  ///   part of the status says why.
  public func status(_ sku: SKU) async throws(DoorbusterError) -> SaleStatus {
    let sale = try await knownSale(sku)
    // The messages come before the logs and the logs before the positions, so that nothing on its way is overlooked.
    var messages = TopicStatus(half: 0, parked: 0, dead: 0, unacknowledged: 0, stored: 0)
    if sale.path.courier == .messages {
      messages = try await asking(broker: broker) { broker throws(MessagingError) in
        try await broker.status(of: configuration.topic, for: configuration.group)
      }
    }
    var buckets: [SaleStatus.Bucket] = []
    for bucket in sale.buckets { buckets.append(try await status(of: bucket)) }
    return SaleStatus(sale: sale, totals: try await totals(of: sku), buckets: buckets, messages: messages)
  }

  /// Up to `count` of the deployment's parked or dead messages, oldest first, after that id.
  /// - Throws: ``DoorbusterError`` `messaging`.
  public func setAside(
    _ kind: SetAsideMessage.Kind,
    after id: String? = nil,
    count: Int = 100
  ) async throws(DoorbusterError) -> [SetAsideMessage] {
    try await asking(broker: broker) { broker throws(MessagingError) in
      try await broker.setAside(kind, in: configuration.topic, after: id, count: count)
    }
  }

  /// Puts a parked message back to be checked, or a dead one back to be recorded. False where there is no such message.
  /// - Throws: ``DoorbusterError`` `messaging`.
  public func resume(_ kind: SetAsideMessage.Kind, id: String) async throws(DoorbusterError) -> Bool {
    try await asking(broker: broker) { broker throws(MessagingError) in
      try await broker.resume(kind, id: id, in: configuration.topic)
    }
  }

  func totals(of sku: SKU) async throws(DoorbusterError) -> SaleTotals {
    let totals = try await asking(orders: orders) { orders throws(OrderStoreError) in
      try await orders.totals(of: sku)
    }
    guard let totals else { throw .unknownSale(sku) }
    return totals
  }

  private func status(of bucket: BucketID) async throws(DoorbusterError) -> SaleStatus.Bucket {
    var status = SaleStatus.Bucket(index: bucket.index)
    do throws(StockError) {
      status.info = try await stock.info(bucket)
    } catch {
      status.problem = error.message
    }
    status.server = await stock.server(of: bucket)
    if let open = status.info?.transfers, open > 0 {
      do throws(StockError) {
        let listed = try await stock.transfers(bucket, settled: false, after: nil, count: 1000)
        let nowMs = clock.wallMs
        status.transfers = listed.map { .init(transfer: $0.transfer, ageMs: max(0, nowMs - $0.timestampMs)) }
      } catch {
        status.problem = error.message
      }
    }
    status.followed = try await asking(orders: orders) { orders throws(OrderStoreError) in
      try await orders.position(of: bucket)
    }
    return status
  }
}
