import CStockABI

/// The totals of a bucket. Always: `created + added + transferredIn = available + held + sold + transferredOut`, and what
/// is available, held and sold is together at most 2^53, as is each other total.
struct Books {
  var created: Int64 = 0
  var added: Int64 = 0
  var available: Int64 = 0
  var held: Int64 = 0
  var sold: Int64 = 0
  var cancelled: Int64 = 0
  var transferredIn: Int64 = 0
  var transferredOut: Int64 = 0

  /// The totals after an event, or nil where one would pass its bounds.
  func after(_ event: Event) -> Books? {
    var next = self
    let quantity = event.quantity
    switch event.effect {
    case .create: next.created = quantity
    case .add, .recordRestock: next.added &+= quantity
    case .deduct, .recordSold: next.sold &+= quantity
    case .hold, .recordHeld: next.held &+= quantity
    case .confirm, .recordConfirm:
      next.held &-= quantity
      next.sold &+= quantity
    case .cancelHeld, .expire, .recordCancelHeld:
      next.held &-= quantity
      next.cancelled &+= quantity
    case .cancelSold, .recordCancelSold:
      next.sold &-= quantity
      next.cancelled &+= quantity
    case .rejectHeld, .recordRejectHeld:
      next.held &-= quantity
      next.cancelled &+= quantity
      next.added &-= quantity
    case .rejectSold, .recordRejectSold:
      next.sold &-= quantity
      next.cancelled &+= quantity
      next.added &-= quantity
    case .recordCancelled: next.cancelled &+= quantity
    case .recordRejected:
      next.cancelled &+= quantity
      next.added &-= quantity
    case .withdraw, .rebalanceOut, .recordOut: next.transferredOut &+= quantity
    case .deposit, .rebalanceIn, .recordIn: next.transferredIn &+= quantity
    case .fence, .schedule, .freeze, .thaw: break
    }
    next.available = event.to
    // Each term is within 2^53 of zero and each quantity too, so no sum here can pass 2^63.
    return next.isSound ? next : nil
  }

  /// Whether each total is within its bounds and they balance.
  var isSound: Bool {
    let units = available &+ held &+ sold
    return (available | held | sold | cancelled | transferredIn | transferredOut) >= 0
      && units <= Limits.number && cancelled <= Limits.number && transferredIn <= Limits.number
      && transferredOut <= Limits.number && added.magnitude <= Limits.number.magnitude
      && created &+ added &+ transferredIn == units &+ transferredOut
  }
}
