import Orders
import Stock

/// What a recovery has done.
public struct Recovery: Hashable, Sendable {
  public enum Bucket: Hashable, Sendable {
    /// Nothing was missing.
    case sound
    /// It was gone: made anew, filled from the database, and it sells again.
    case rebuilt
    /// It was there: what it lacked was written in, and it sells again.
    case completed
    /// An operator has frozen it. What it lacked was written in; it stays frozen.
    case stoppedByOperator
  }

  public var sku: SKU
  /// By their index.
  public var buckets: [Bucket] = []
  /// Written into the buckets: restocks (by bucket), halves of transfers, and orders by their state.
  public var restocks: Int64 = 0
  public var transfers: Int64 = 0
  public var orders: [OrderState: Int64] = [:]
  /// Orders that were held against their buckets.
  public var compared: Int64 = 0
  /// Orders for which units were moved from other buckets.
  public var moved: Int64 = 0
  /// What could not be mended; orders that no bucket had units for, and that are rejected now.
  public var findings: [BooksFinding] = []
  /// Findings that both sides don't agree on yet.
  public var remaining: Int64 = 0
  /// Messages of all sales that were not acknowledged when the orders were written in. Purchases that they carry may
  /// still be missing in their bucket: ``Doorbuster/reconcile(_:repair:settings:progress:)`` tells.
  public var messagesOnTheirWay: Int64 = 0

  public init(sku: SKU) { self.sku = sku }

  /// Whether there was nothing to do.
  public var wasSound: Bool { buckets.allSatisfy { $0 == .sound } }

  /// Whether all buckets sell, and nothing is left to be mended.
  public var isComplete: Bool { remaining == 0 && !buckets.contains(.stoppedByOperator) }

  mutating func add(_ finding: BooksFinding, keeping max: Int) {
    if !finding.isSettled { remaining += 1 }
    if findings.count < max { findings.append(finding) }
  }
}
