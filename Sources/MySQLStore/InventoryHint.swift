import Orders
import Stock
import Synchronization

/// Alibaba Cloud's inventory hints (RDS MySQL and PolarDB): an `UPDATE` that commits its whole transaction when it has
/// changed the wanted number of rows, and rolls it back when it has not. It is the last statement of an explicit
/// transaction; in autocommit an engine that knows the hints refuses them.
///
/// Another engine takes the hint for a comment and commits nothing. So the server is asked once, and even then every
/// answer's transaction flag is looked at: the store never believes that something was committed for it.
final class InventoryHint: Sendable {
  private static let words = "/*+ COMMIT_ON_SUCCESS ROLLBACK_ON_FAIL TARGET_AFFECT_ROW(1) */"
  /// "Inventory transactional hints aren't allowed in autocommit mode".
  private static let autocommitError: UInt32 = 7531

  /// Whether the server knows the hint; nil before it was asked.
  private let isKnown = Mutex<Bool?>(nil)

  /// Asks the server, by a hinted statement in autocommit that changes nothing: one that knows the hints refuses it.
  /// - Returns: whether it knows them.
  func probe(_ connection: Connection) throws(OrderStoreError) -> Bool {
    let answer = try connection.read("asking whether the server knows inventory hints") {
      do throws(MySQLFailure) {
        try connection.run("UPDATE \(Self.words) doorbuster_schema SET version = version WHERE id = 0")
        return false
      } catch {
        guard error.number == Self.autocommitError else { throw error }
        return true
      }
    }
    isKnown.withLock { $0 = answer }
    return answer
  }

  /// The last statement of a transaction: the decrement, with the hint where the server knows it.
  /// - Returns: how the transaction ends; nil where the stock is short or the product unknown.
  func apply(
    _ change: OrderBook.Change,
    to sku: SKU,
    and condition: String = "",
    on connection: Connection,
    _ attempt: Connection.Attempt
  ) throws(MySQLFailure) -> Connection.Ending? {
    let isKnown = isKnown.withLock { $0 ?? false }
    let sql = """
      UPDATE \(isKnown ? Self.words + " " : "")products SET \(ProductSQL.text(change)) \
      WHERE sku = '\(sku.text)' AND stock >= \(-change.lowest)\(condition)
      """
    guard isKnown else { return try connection.run(sql) == 1 ? .commit : nil }
    attempt.sendsCommit()
    do throws(MySQLFailure) {
      let isChanged = try connection.run(sql) == 1
      // The answer says whether the transaction is over. Where it is not, this server has never seen a hint.
      guard connection.isInTransaction else {
        if isChanged { return .committed }
        attempt.commitsNot()
        return nil
      }
      attempt.commitsNot()
      connection.logger.warning("The server ignored an inventory hint that it knew before; committing without")
      self.isKnown.withLock { $0 = false }
      return isChanged ? .commit : nil
    } catch {
      switch error.kind {
      case .lost, .contended, .duplicate: throw error
      // The row count was not the target's, so the engine has rolled back; why, the exact way finds out.
      case .other:
        attempt.commitsNot()
        return nil
      }
    }
  }
}
