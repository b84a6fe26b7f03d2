import Stock
import Synchronization
import TestServers

/// A seeded crowd: buyers of 1 to 3 units, one click in five being the double of an earlier one, or with twins
/// another user's with the same token. The same seed gives the same clicks in every process.
///
/// Told a home and the number of buckets, all buyers have that one; told a quantity, each wants so many units.
final class Crowd: Sendable {
  private let clicks: [Purchase]
  private let next = Mutex(0)

  init(
    sku: SKU,
    seed: UInt64,
    clicks count: Int,
    twins: Bool,
    home: (bucket: Int, of: Int)? = nil,
    quantity: Int64? = nil
  ) throws {
    var random = SplitMix64(seed: seed)
    var clicks: [Purchase] = []
    for index in 0..<count {
      if index > 0, random.oneIn(5) {
        let first = clicks[Int(random.next() % UInt64(index))]
        let user = twins ? try UserID("twin-\(index)") : first.user
        clicks.append(try Purchase(sku: sku, user: user, token: first.token, quantity: first.quantity))
      } else {
        let drawn = Int64(random.next() % 3) + 1
        let user = try Self.user(index, home)
        clicks.append(
          try Purchase(sku: sku, user: user, token: Token("token-\(seed)-\(index)"), quantity: quantity ?? drawn)
        )
      }
    }
    self.clicks = clicks
  }

  private static func user(_ index: Int, _ home: (bucket: Int, of: Int)?) throws -> UserID {
    var user = try UserID("user-\(index)")
    var tries = 0
    while let home, user.homeBucket(among: home.of) != home.bucket {
      tries += 1
      user = try UserID("user-\(index)-\(tries)")
    }
    return user
  }

  /// The next click; nil after the last.
  func click() -> Purchase? {
    next.withLock { next in
      defer { next += 1 }
      return next < clicks.count ? clicks[next] : nil
    }
  }
}

/// A seeded crowd with carts of two products or three, one click in six being the double of an earlier one.
final class CartCrowd: Sendable {
  private let clicks: [Cart]
  private let next = Mutex(0)

  init(skus: [SKU], seed: UInt64, clicks count: Int) throws {
    var random = SplitMix64(seed: seed)
    var clicks: [Cart] = []
    for index in 0..<count {
      if index > 0, random.oneIn(6) {
        clicks.append(clicks[Int(random.next() % UInt64(index))])
        continue
      }
      let left = random.oneIn(3) ? nil : skus[Int(random.next() % UInt64(skus.count))]
      let lines = try skus.filter { $0 != left }.map { try CartLine(sku: $0, quantity: Int64(random.next() % 2) + 1) }
      clicks.append(try Cart(user: UserID("user-\(index)"), token: Token("cart-\(index)"), lines: lines))
    }
    self.clicks = clicks
  }

  /// The next click; nil after the last.
  func click() -> Cart? {
    next.withLock { next in
      defer { next += 1 }
      return next < clicks.count ? clicks[next] : nil
    }
  }
}
