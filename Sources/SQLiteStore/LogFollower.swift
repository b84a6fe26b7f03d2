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
/// An event costs one statement where the order came by message and its sequence is not known yet.
struct LogFollower {
  private let batch: LogBatch
  private let db: Database
  private var findings: [LogBatchOutcome.Finding] = []

  init(batch: LogBatch, db: Database) {
    self.batch = batch
    self.db = db
  }

  /// - Throws: `unknownProduct` where the product is in no sale.
  mutating func run() throws -> LogBatchOutcome {
    var rows = try OrderRows(db: db)
    guard try rows.stock(of: batch.bucket.sku) != nil else {
      throw OrderStoreError(.unknownProduct, "the log of \(batch.bucket) is of an unknown product")
    }
    let stored = try PositionRows.fetch(batch.bucket, db: db) ?? LogPosition(epoch: batch.from.epoch, sequence: 0)
    guard stored == batch.from else {
      return LogBatchOutcome(position: stored, applied: false, waitingFor: nil, findings: [])
    }
    var position = stored
    var waitingFor: Int64?
    for step in batch.steps {
      guard try apply(step, rows: &rows) else {
        waitingFor = step.sequence
        break
      }
      position.sequence = step.sequence
    }
    try rows.settle()
    if position != stored { try PositionRows.store(position, of: batch.bucket, db: db) }
    return LogBatchOutcome(position: position, applied: true, waitingFor: waitingFor, findings: findings)
  }

  /// - Returns: false where the batch must stop before this step.
  private mutating func apply(_ step: LogBatch.Step, rows: inout OrderRows) throws -> Bool {
    switch step.entry {
    case nil: return true
    case .purchased(var order, let state, let storeIfMissing):
      order.sequence = step.sequence
      return try bring(order, as: state, storeIfMissing: storeIfMissing, rows: &rows)
    case .moved(let token, let user, let state):
      try move(token, user: user, to: state, rows: &rows)
      return true
    }
  }

  private mutating func bring(
    _ order: Order,
    as state: OrderState,
    storeIfMissing: Bool,
    rows: inout OrderRows
  ) throws -> Bool {
    // Delivered by log, an order is nearly always new; after a message it is nearly always there.
    if storeIfMissing {
      switch try rows.record(order, as: state) {
      case .recorded where state != .rejected: findings.append(.stored(order))
      case .recorded, .rejected: findings.append(.rejected(order))
      case .alreadyRecorded: _ = try fillIn(order)
      case .conflict(let stored): findings.append(.conflict(order, with: stored))
      // The product was there at the start, and nobody else can write.
      case .unknownProduct, .refused: break
      }
      return true
    }
    if try fillIn(order) { return true }
    guard let stored = try OrderRows.fetch(order.purchase.sku, token: order.purchase.token, db: db) else {
      return false
    }
    if !stored.isSamePurchase(as: order) { findings.append(.conflict(order, with: stored)) }
    return true
  }

  /// - Returns: whether the order is there and its sequence was not known before.
  private func fillIn(_ order: Order) throws -> Bool {
    let statement = try db.cachedStatement(
      sql: """
        UPDATE orders SET sequence = ?
        WHERE sku = ? AND token = ? AND sequence IS NULL AND user = ? AND quantity = ? AND bucket = ?
        """
    )
    let purchase = order.purchase
    statement.setUncheckedArguments([
      order.sequence, purchase.sku.text, Data(purchase.token.bytes), Data(purchase.user.bytes), purchase.quantity,
      order.bucket,
    ])
    try statement.execute()
    return db.changesCount == 1
  }

  private func move(_ token: Token, user: UserID?, to state: OrderState, rows: inout OrderRows) throws {
    switch state {
    // Nothing is before held, and what the database rejected stays so.
    case .held, .rejected: return
    case .sold, .cancelled: break
    }
    // A row that is missing was fenced before it was ever bought.
    guard let stored = try OrderRows.fetch(batch.bucket.sku, token: token, db: db),
      stored.order.bucket == batch.bucket.index,
      user == nil || user == stored.order.purchase.user,
      stored.state.precedes(state)
    else { return }
    let statement = try db.cachedStatement(sql: "UPDATE orders SET state = ? WHERE sku = ? AND token = ?")
    statement.setUncheckedArguments([state.rawValue, batch.bucket.sku.text, Data(token.bytes)])
    try statement.execute()
    if stored.state.takesStock, !state.takesStock {
      rows.change(batch.bucket.sku, by: stored.order.purchase.quantity)
    }
  }
}
