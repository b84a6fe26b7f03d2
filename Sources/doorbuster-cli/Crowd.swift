import Stock
import Synchronization

/// The demo's buyers: more of them than units, some of whom click twice. The same seed gives the same crowd.
final class Crowd: Sendable {
  struct Size: Sendable {
    /// Requests in all, double clicks included.
    var requests: Int
    /// One in so many requests is a second click of a buyer a few requests before; 0 for none.
    var doubleClickEvery: Int
  }

  private struct State {
    var sent = 0
    var buyers = 0
    var recent: [Purchase] = []
    var random: UInt64
  }

  private let sku: SKU
  private let size: Size
  private let isNew: Bool
  private let run: UInt64
  private let state: Mutex<State>

  /// `seed` also sets the tokens apart from those of other runs.
  /// - Parameter isNew: whether no such crowd has bought of this sale before.
  init(sku: SKU, size: Size, seed: UInt64, isNew: Bool) {
    self.sku = sku
    self.size = size
    self.isNew = isNew
    run = seed
    state = Mutex(State(random: seed))
  }

  /// The next request; nil after the last.
  func next() throws -> Click? {
    try state.withLock { state in
      guard state.sent < size.requests else { return nil }
      state.sent += 1
      let dice = Self.splitMix64(&state.random)
      if size.doubleClickEvery > 0, !state.recent.isEmpty, dice % UInt64(size.doubleClickEvery) == 0 {
        return Click(purchase: state.recent[Int((dice >> 32) % UInt64(state.recent.count))], isFirstAttempt: false)
      }
      state.buyers += 1
      let purchase = try newPurchase(buyer: state.buyers)
      if state.recent.count < 16 {
        state.recent.append(purchase)
      } else {
        state.recent[Int((dice >> 32) % 16)] = purchase
      }
      return Click(purchase: purchase, isFirstAttempt: isNew)
    }
  }

  /// Its token has the length of a UUID's text, 36 bytes.
  private func newPurchase(buyer: Int) throws -> Purchase {
    try Purchase(
      sku: sku,
      user: UserID("buyer-\(buyer)"),
      token: Token("\(Self.padded(run, to: 20))-\(Self.padded(UInt64(buyer), to: 15))"),
      quantity: 1
    )
  }

  private static func padded(_ number: UInt64, to width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }

  private static func splitMix64(_ state: inout UInt64) -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
