import GRDB
import Logging
import OrderBatching
import Orders

/// What concurrent callers write on the one writing connection, gathered.
typealias OrderWriter = OrderBatcher<Recording, RecordOutcome, Database>

extension OrderBatcher where Access == Database {
  /// With the strategy `rowLock` a batch is one item.
  private static func limits(_ strategy: HotRowStrategy) -> BatchLimits {
    switch strategy {
    case .rowLock, .inventoryHint: BatchLimits(batchMax: 1)
    // Larger transactions dirty fewer pages an order, and make their callers wait longer: 4,000 take some 50 ms.
    case .groupCommit: BatchLimits(batchMax: 4_000)
    }
  }

  convenience init(
    _ pool: DatabasePool,
    path: String,
    strategy: HotRowStrategy,
    while what: @escaping @Sendable (Int) -> String,
    write: @escaping @Sendable (ArraySlice<Item>, Database) throws -> [Outcome],
    refuse: @escaping @Sendable (Item, OrderStoreError) -> Outcome
  ) {
    self.init(
      Self.limits(strategy),
      dispatch: { job in pool.asyncWriteWithoutTransaction { db in job(.success(db)) } },
      write: { items, db throws(OrderStoreError) in
        do {
          return try db.writeImmediately { db in try write(items, db) }
        } catch {
          throw OrderStoreError(error, while: what(items.count), path: path)
        }
      },
      refuse: refuse
    )
  }
}

extension OrderBatcher where Item == Recording, Outcome == RecordOutcome, Access == Database {
  convenience init(_ pool: DatabasePool, path: String, strategy: HotRowStrategy, logger: Logger) {
    self.init(
      pool,
      path: path,
      strategy: strategy,
      while: { count in "recording \(count) orders" },
      write: { recordings, db in
        var rows = try OrderRows(db: db)
        let outcomes = try recordings.map { try rows.record($0.order, as: $0.state, rejecting: $0.rejecting) }
        try rows.settle()
        return outcomes
      },
      refuse: { _, error in
        logger.warning("The database refused an order", metadata: ["error": "\(error)"])
        return .refused(error.message)
      }
    )
  }
}
