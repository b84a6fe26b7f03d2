import Orders
import Stock

/// What a product has on sale, in its buckets and by the database's rows.
///
/// Only restocks, transfers and cancels off sale change it in the buckets, so it stands still while the crowd buys.
struct UnitsOnSale: Hashable, Sendable {
  /// Units that each bucket was given beyond those that the sale, its restocks and known transfers account for.
  private(set) var surplus: [Int: Int64] = [:]
  /// Over all buckets, those in open transfers included.
  private(set) var inBuckets: Int64 = 0
  /// Put on sale and restocked.
  let inDatabase: Int64

  init(_ sale: Sale, infos: [BucketInfo], transfers: TransferBook, restocks: [StoredRestock]) {
    let restocked = restocks.reduce(into: Int64(0)) { $0 += $1.quantity }
    inDatabase = sale.stock + restocked
    for (index, info) in infos.enumerated() {
      let due = restocks.reduce(sale.share(of: sale.stock, bucket: index)) {
        $0 + sale.share(of: $1.quantity, bucket: index)
      }
      surplus[index] = info.created + info.added - due
      inBuckets += info.created + info.added + info.transferredIn - info.transferredOut
    }
    for move in transfers.open { inBuckets += move.quantity }
    // Their withdrawal is missing: it is a finding of its own, and its repair takes the units out of the source.
    for move in transfers.sourceless { inBuckets -= move.quantity }
  }

  /// Units that the buckets have beyond the database's; negative where they lack some.
  var difference: Int64 { inBuckets - inDatabase }

  /// By how much each bucket's units should change, so that the sums agree: those that deviate most come first. What no
  /// bucket's books explain, units that a rebalancing moved and whose other half is lost, is the bucket `unexplained`'s.
  func corrections(unexplainedIn unexplained: Int = 0) -> [(bucket: Int, units: Int64)] {
    var rest = -difference
    var corrections: [(bucket: Int, units: Int64)] = []
    let deviant = surplus.sorted { left, right in
      left.value.magnitude == right.value.magnitude
        ? left.key < right.key : left.value.magnitude > right.value.magnitude
    }
    for (bucket, units) in deviant where rest != 0 && units != 0 && (units < 0) == (rest > 0) {
      let part = rest > 0 ? min(rest, -units) : max(rest, -units)
      corrections.append((bucket, part))
      rest -= part
    }
    if rest != 0 { corrections.append((unexplained, rest)) }
    return corrections
  }
}
