import CStockABI

/// How a command ended. Refusals are statuses, not faults: a sale produces them by the million.
public typealias Status = stock_status
/// What the log says that an event did.
public typealias Action = stock_action
/// What an event did to the books: an action, told apart by what was known of its token.
public typealias Effect = stock_effect
/// Where a known token stands.
public typealias PurchaseState = stock_state
/// What is written in of a purchase that was lost.
public typealias Recording = stock_recording
/// Why a bucket is frozen.
public typealias FreezeReason = stock_freeze_reason
/// Whether a transfer's units leave or enter the bucket.
public typealias Direction = stock_direction
/// Why a request or a payload can't be served at all.
public typealias Fault = stock_fault
/// What a change did to a bucket's being sold out.
public typealias Turn = stock_turn
/// The buckets of the product, the limit a user, and the window; 0 means none.
public typealias Settings = stock_settings
/// One event of the log. Its bytes belong to the bucket and stay valid until the bucket's next change.
public typealias Event = stock_event
/// A fault, or a status with the available stock and the sequence to answer.
public typealias Outcome = stock_outcome
/// A token's first event and its state now.
public typealias Purchase = stock_purchase
/// A transfer as its bucket knows it. Its name belongs to the bucket and stays valid until the bucket's next change.
public typealias Transfer = stock_transfer
/// The books of a bucket at one instant.
public typealias Figures = stock_figures
/// A place in a reading of the log, the transfers or the whole bucket.
public typealias Cursor = stock_cursor

typealias Bytes = stock_bytes

/// The bounds of the protocol, from the one table in CStockABI.
public enum Limits {
  /// Quantities, totals, sequences, epochs, and times that are asked for.
  public static var number: Int64 { STOCK_NUMBER_MAX }
  /// Milliseconds; a clock beyond is read as this.
  public static var time: Int64 { STOCK_TIME_MAX }
  /// Bytes of a token or user.
  public static var name: Int { STOCK_NAME_BYTES_MAX }
  /// Bytes of a transfer's name.
  public static var transfer: Int { STOCK_TRANSFER_BYTES_MAX }
  /// Bytes of the key of a bucket's hash.
  public static var hashKey: Int { STOCK_HASH_KEY_BYTES }
  /// Buckets of a product.
  public static var buckets: Int64 { Int64(STOCK_BUCKETS_MAX) }
}
