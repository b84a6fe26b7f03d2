import Foundation
import GRDB
import Orders
import Stock

/// How far each bucket's log has been followed.
enum PositionRows {
  static func fetch(_ bucket: BucketID, db: Database) throws -> LogPosition? {
    let statement = try db.cachedStatement(
      sql: "SELECT epoch, sequence FROM log_positions WHERE sku = ? AND bucket = ?"
    )
    return try Row.fetchOne(statement, arguments: [bucket.sku.text, bucket.index])
      .map { row in LogPosition(epoch: row[0], sequence: row[1]) }
  }

  static func store(_ position: LogPosition, of bucket: BucketID, db: Database) throws {
    let statement = try db.cachedStatement(
      sql: """
        INSERT INTO log_positions (sku, bucket, epoch, sequence) VALUES (?, ?, ?, ?)
        ON CONFLICT (sku, bucket) DO UPDATE SET epoch = excluded.epoch, sequence = excluded.sequence
        """
    )
    try statement.execute(arguments: [bucket.sku.text, bucket.index, position.epoch, position.sequence])
  }

  static func fetchAll(_ sku: SKU, db: Database) throws -> [Int: LogPosition] {
    let rows = try Row.fetchAll(
      db,
      sql: "SELECT bucket, epoch, sequence FROM log_positions WHERE sku = ?",
      arguments: [sku.text]
    )
    return rows.reduce(into: [:]) { $0[$1[0]] = LogPosition(epoch: $1[1], sequence: $1[2]) }
  }

  /// - Returns: the position that stands afterwards.
  static func replace(_ bucket: BucketID, _ old: LogPosition?, with new: LogPosition, db: Database) throws
    -> LogPosition?
  {
    guard try SaleRows.fetch(bucket.sku, db: db) != nil else {
      throw OrderStoreError(.unknownProduct, "there is no sale of \(bucket.sku)")
    }
    let stored = try fetch(bucket, db: db)
    guard stored == old else { return stored }
    try store(new, of: bucket, db: db)
    return new
  }
}

/// Brings one batch of log events in, inside a transaction.
///
/// A bucket without a position is at sequence 0 of whatever epoch its first batch is of. Afterwards its epoch never
/// changes here: a bucket in a new epoch may have lost its past, which is for recovery to settle.
///
/// An event costs one statement where the order came by message and its sequence is not known yet, and where it comes
/// by the log alone.
struct LogFollower {
  private let batch: LogBatch
  private let db: Database
  private let fillingIn: Statement
  private var rows: OrderRows
  private var stored = 0

  init(batch: LogBatch, db: Database) throws {
    self.batch = batch
    self.db = db
    rows = try OrderRows(db: db)
    // A row that is to move on, or that was rejected, is left to the slower way.
    fillingIn = try db.cachedStatement(
      sql: """
        UPDATE orders SET sequence = ?
        WHERE sku = ? AND token = ? AND sequence IS NULL AND user = ? AND quantity = ? AND bucket = ?
          AND state <> 'rejected' AND (state <> 'held' OR ? = 'held')
        """
    )
  }

  /// - Throws: `unknownProduct` where the product is in no sale.
  mutating func run() throws -> LogBatchOutcome {
    guard try rows.stock(of: batch.bucket.sku) != nil else {
      throw OrderStoreError(.unknownProduct, "the log of \(batch.bucket) is of an unknown product")
    }
    let before = try PositionRows.fetch(batch.bucket, db: db) ?? LogPosition(epoch: batch.from.epoch, sequence: 0)
    guard before == batch.from else { return LogBatchOutcome(position: before, applied: false) }
    var outcome = LogBatchOutcome(position: before, applied: true)
    for step in batch.steps {
      if let reason = try apply(step) {
        outcome.stop = LogBatchOutcome.Stop(sequence: step.sequence, reason: reason)
        break
      }
      outcome.position.sequence = step.sequence
    }
    try rows.settle()
    if outcome.position != before { try PositionRows.store(outcome.position, of: batch.bucket, db: db) }
    outcome.stored = stored
    return outcome
  }

  /// - Returns: why the batch must stop before this step; nil where it is done.
  private mutating func apply(_ step: LogBatch.Step) throws -> LogBatchOutcome.Stop.Reason? {
    switch step.entry {
    case nil: return nil
    case .purchased(var order, let state, let storeIfMissing):
      order.sequence = step.sequence
      return try bring(order, as: state, storeIfMissing: storeIfMissing)
    case .moved(let token, let user, let state):
      // A row that is missing was fenced before it was ever bought.
      guard let stored = try OrderRows.fetch(batch.bucket.sku, token: token, db: db),
        stored.order.bucket == batch.bucket.index, user == nil || user == stored.order.purchase.user
      else { return nil }
      try move(stored, to: state)
      return nil
    }
  }

  private mutating func bring(
    _ order: Order,
    as state: OrderState,
    storeIfMissing: Bool
  ) throws -> LogBatchOutcome.Stop.Reason? {
    // Delivered by log, an order is nearly always new; after a message it is nearly always there.
    if storeIfMissing {
      switch try rows.record(order, as: state, rejecting: false) {
      case .recorded:
        stored += 1
        return nil
      case .short(let stock): return .short(stock: stock)
      case .alreadyRecorded, .conflict: break
      // The product was there at the start, and nobody else can write.
      case .rejected, .unknownProduct, .refused: return nil
      }
    }
    if state.takesStock, try fillIn(order, state) { return nil }
    guard let row = try OrderRows.fetch(order.purchase.sku, token: order.purchase.token, db: db) else {
      return .missing
    }
    guard row.isSamePurchase(as: order) else { return state.takesStock ? .conflict(row) : nil }
    if row.state == .rejected, state.takesStock { return .rejected }
    if row.order.sequence == nil { try number(order) }
    try move(row, to: state)
    return nil
  }

  /// - Returns: whether the order is there, as far on, and its sequence was not known before.
  private func fillIn(_ order: Order, _ state: OrderState) throws -> Bool {
    let purchase = order.purchase
    fillingIn.setUncheckedArguments([
      order.sequence, purchase.sku.text, Data(purchase.token.bytes), Data(purchase.user.bytes), purchase.quantity,
      order.bucket, state.rawValue,
    ])
    try fillingIn.execute()
    return db.changesCount == 1
  }

  private func number(_ order: Order) throws {
    let statement = try db.cachedStatement(sql: "UPDATE orders SET sequence = ? WHERE sku = ? AND token = ?")
    let purchase = order.purchase
    statement.setUncheckedArguments([order.sequence, purchase.sku.text, Data(purchase.token.bytes)])
    try statement.execute()
  }

  private mutating func move(_ row: StoredOrder, to state: OrderState) throws {
    // What the database rejected stays so.
    guard state != .rejected, row.state.precedes(state) else { return }
    let purchase = row.order.purchase
    let statement = try db.cachedStatement(sql: "UPDATE orders SET state = ? WHERE sku = ? AND token = ?")
    statement.setUncheckedArguments([state.rawValue, purchase.sku.text, Data(purchase.token.bytes)])
    try statement.execute()
    if row.state.takesStock, !state.takesStock { rows.change(purchase.sku, by: purchase.quantity) }
  }
}
