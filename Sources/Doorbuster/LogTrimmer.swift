import Logging
import Stock

/// Trims one bucket's log behind the database's position, in portions so small that none stalls the server. The last events
/// before the position stay, so that reconciling can name their purchases.
///
/// A position is given only after the database has said that it holds it, so trimming never goes beyond it.
struct LogTrimmer: Sendable {
  let bucket: BucketID
  let stock: any StockService
  let logger: Logger
  /// So many events before the position stay.
  private let kept: Int64
  /// Where the database is.
  private var position: LogPosition?
  /// The last event that is trimmed; nil while that is not known.
  private var trimmed: Int64?

  /// Events of one command.
  static let commandMax: Int64 = 500
  /// Commands of one call: more than the database takes in at a time, so that an old log is caught up with.
  private static let commandsMax = 60

  init(bucket: BucketID, stock: any StockService, keeping kept: Int64, logger: Logger) {
    self.bucket = bucket
    self.stock = stock
    self.kept = kept
    self.logger = logger
  }

  mutating func database(at position: LogPosition) {
    if self.position?.epoch != position.epoch { trimmed = nil }
    self.position = position
  }

  /// Trims what can be trimmed. Where it can't, it is tried again the next time.
  mutating func trim() async {
    guard let position else { return }
    let end = position.sequence - kept
    guard (trimmed ?? 0) < end else { return }
    do throws(StockError) {
      var done: Int64
      if let trimmed {
        done = trimmed
      } else {
        let info = try await stock.info(bucket)
        guard info.epoch == position.epoch else { return }
        done = info.logFirst - 1
      }
      for _ in 0..<Self.commandsMax where done < end && !Task.isCancelled {
        let next = min(done + Self.commandMax, end)
        _ = try await stock.trim(bucket, upTo: LogPosition(epoch: position.epoch, sequence: next))
        done = next
      }
      trimmed = done
    } catch {
      trimmed = nil
      logger.debug("the log of \(bucket) was not trimmed: \(error.message)")
    }
  }

  /// This trimmer, after ``trim()``.
  func trimming() async -> LogTrimmer {
    var trimmer = self
    await trimmer.trim()
    return trimmer
  }
}
