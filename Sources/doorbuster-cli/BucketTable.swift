import Foundation

/// A sale's buckets as a table: one line each, and as many columns as the terminal has room for.
struct BucketTable {
  private struct Column: Sendable {
    let title: String
    /// The less, the longer it stays as the terminal grows narrow.
    let rank: Int
    let isText: Bool
    let cell: @Sendable (SaleView.Bucket) -> String

    init(_ title: String, rank: Int, isText: Bool = false, _ cell: @escaping @Sendable (SaleView.Bucket) -> String) {
      self.title = title
      self.rank = rank
      self.isText = isText
      self.cell = cell
    }
  }

  private static let columns: [Column] = [
    Column("bucket", rank: 0) { String($0.bucket) },
    Column("server", rank: 6, isText: true) { $0.server ?? "-" },
    Column("available", rank: 1) { number($0.available) },
    Column("held", rank: 3) { number($0.held) },
    Column("sold", rank: 2) { number($0.sold) },
    Column("cancelled", rank: 9) { number($0.cancelled) },
    Column("added", rank: 10) { number($0.added) },
    Column("in", rank: 7) { number($0.transferredIn) },
    Column("out", rank: 8) { number($0.transferredOut) },
    Column("moving", rank: 4) { moving($0) },
    Column("log", rank: 11) { number($0.logLast) },
    Column("behind", rank: 5) { behind($0) },
  ]

  let buckets: [SaleView.Bucket]

  /// A line of titles, a line a bucket, and one of sums where there are several.
  func lines(columns width: Int?) -> [String] {
    var shown = Self.columns
    while let width, self.width(shown) > width, let last = shown.max(by: { $0.rank < $1.rank }), last.rank > 0 {
      shown.removeAll { $0.rank == last.rank }
    }
    let widths = shown.map(cellWidth)
    func line(_ cells: [String]) -> String {
      let padded = zip(zip(cells, widths), shown)
        .map { cell, column in
          let gap = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
          return column.isText ? cell.0 + gap : gap + cell.0
        }
      return "  " + padded.joined(separator: "  ")
    }
    return [line(shown.map(\.title))] + buckets.map { bucket in line(shown.map { $0.cell(bucket) }) + note(bucket) }
  }

  private func cellWidth(_ column: Column) -> Int {
    ([column.title] + buckets.map(column.cell)).map(\.count).max() ?? 0
  }

  private func width(_ columns: [Column]) -> Int { columns.reduce(0) { $0 + 2 + cellWidth($1) } }

  private func note(_ bucket: SaleView.Bucket) -> String {
    if bucket.problem != nil { return "  not answering" }
    return bucket.frozen.map { "  frozen (\($0))" } ?? ""
  }

  private static func number(_ number: Int64?) -> String { number.map(String.init) ?? "-" }

  /// How many transfers are open, and how old the oldest is.
  private static func moving(_ bucket: SaleView.Bucket) -> String {
    guard let oldest = bucket.transfers.map(\.ageMs).max() else { return bucket.problem == nil ? "0" : "-" }
    return "\(bucket.transfers.count), \(age(oldest))"
  }

  /// Events that the database has not followed yet.
  private static func behind(_ bucket: SaleView.Bucket) -> String {
    guard let last = bucket.logLast else { return "-" }
    return String(max(0, last - (bucket.followed ?? 0)))
  }

  private static func age(_ ms: Int64) -> String {
    switch ms {
    case ..<10_000: "\(ms / 1000).\(ms % 1000 / 100) s"
    case ..<120_000: "\(ms / 1000) s"
    case ..<7_200_000: "\(ms / 60_000) min"
    default: "\(ms / 3_600_000) h"
    }
  }
}

extension SaleView {
  func bucketTable(columns: Int?) -> [String] { BucketTable(buckets: buckets).lines(columns: columns) }
}
