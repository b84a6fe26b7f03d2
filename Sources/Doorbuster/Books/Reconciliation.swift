import Orders
import Stock

/// Something in which a sale's buckets and its database differ, or do not add up.
public struct BooksFinding: Hashable, Sendable {
  public enum Subject: Hashable, Sendable {
    /// A purchase stands in the bucket, and the database has no order of its token.
    case purchaseWithoutOrder(PurchaseRecord, bucket: Int)
    /// A purchase stands in a bucket, and its token's order is another purchase's.
    case purchaseOfAnotherOrder(PurchaseRecord, bucket: Int, order: StoredOrder)
    /// An order stands, or its token must stay spent, and no bucket knows it.
    case orderWithoutPurchase(StoredOrder)
    /// Order and purchase differ.
    case orderDiffers(StoredOrder, PurchaseRecord, bucket: Int, [OrderDifference])
    /// Purchases of so many units have no order, and the bucket no longer lists their tokens.
    case ordersMissing(bucket: Int, units: Int64)
    /// The product's stock in the database is not what its rows make.
    case databaseStock(stock: Int64, byRows: Int64)
    /// The buckets have put more or fewer units on sale than the database's sale and restocks make.
    case unitsOnSale(inBuckets: Int64, inDatabase: Int64)
    /// A restock of so many units (negative) was begun and never decided, while the units on sale differ: they may be its
    /// own. Repeating it completes it; its repair gives its units back, and spends its token.
    case restockUndecided(Token, quantity: Int64)
    /// A bucket sells with another limit, or in another window, than the database's sale: a change did not reach it.
    case termsDiffer(bucket: Int, BucketInfo, inDatabase: SaleTerms)
    /// A transfer whose half is missing in a bucket: never deposited, or lost.
    case transferHalf(Transfer, missingIn: Int)
    /// A transfer that its two buckets know with different quantities.
    case transferDiffers(TransferName, withdrawn: Int64, deposited: Int64, bucket: Int)
  }

  /// Which side is changed to agree with the other.
  public enum Direction: String, Hashable, Sendable, CaseIterable {
    case database, bucket
    /// Nothing is changed: only people can know what is right.
    case byHand
  }

  public enum Outcome: Hashable, Sendable {
    /// Nothing was changed: no repair was asked for.
    case reported
    case repaired
    /// The order's units are in no bucket, or the purchase's not in the database: it is rejected, and its token is spent.
    case rejected
    /// It could not be repaired; the text says why.
    case left(String)
  }

  public var subject: Subject
  public var repair: Direction
  public var outcome: Outcome

  public init(_ subject: Subject, repair: Direction, outcome: Outcome) {
    self.subject = subject
    self.repair = repair
    self.outcome = outcome
  }

  /// Whether both sides agree now.
  public var isSettled: Bool {
    switch outcome {
    case .repaired, .rejected: true
    case .reported, .left: false
    }
  }
}

/// What comparing a sale's buckets with its database has found.
public struct Reconciliation: Hashable, Sendable {
  public var sku: SKU
  /// In the order in which they were found; the first ``BooksSettings/findingsMax`` of them.
  public var findings: [BooksFinding] = []
  /// All findings, and those that both sides don't agree on yet.
  public var found: Int64 = 0
  public var remaining: Int64 = 0
  /// Orders that were held against their buckets, and log events that were held against the orders.
  public var orders: Int64 = 0
  public var events: Int64 = 0
  /// Log events that the database has not followed yet, and messages (of all sales) without an answer or not
  /// acknowledged: what is on its way, and no finding.
  public var eventsOnTheirWay: Int64 = 0
  public var messagesOnTheirWay: Int64 = 0
  /// Units of transfers that are open, and not for long.
  public var unitsInTransfer: Int64 = 0
  /// Units of which cancels during the comparison leave open whether their orders are there. Repeating it tells.
  public var unitsOpen: Int64 = 0

  public init(sku: SKU) { self.sku = sku }

  /// Whether nothing differs, or nothing any more.
  public var isClean: Bool { remaining == 0 }

  mutating func add(_ finding: BooksFinding, keeping max: Int) {
    found += 1
    if !finding.isSettled { remaining += 1 }
    if findings.count < max { findings.append(finding) }
  }
}

/// How far a comparison or a recovery has come.
public struct BooksProgress: Hashable, Sendable {
  public var step: String
  public var done: Int64
  /// Of how many; nil where that is not known.
  public var total: Int64?
  public var findings: Int64

  public init(step: String, done: Int64, total: Int64?, findings: Int64) {
    self.step = step
    self.done = done
    self.total = total
    self.findings = findings
  }
}
