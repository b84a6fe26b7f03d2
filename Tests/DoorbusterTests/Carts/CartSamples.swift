import Messaging
import Orders
import Stock

@testable import Doorbuster

extension Sample {
  /// A cart of ann's, of 1 hat and 2 shoes.
  static func cart(_ token: String = "t1", user: String = "ann") throws -> Cart {
    try Cart(
      user: UserID(user),
      token: Token(token),
      lines: [CartLine(sku: SKU("shoe"), quantity: 2), CartLine(sku: SKU("hat"), quantity: 1)]
    )
  }

  static func message(_ cart: Cart, buckets: [Int] = [0, 3]) throws -> CartMessage {
    try CartMessage(cart, buckets: buckets, createdAtMs: 1000)
  }

  static func half(_ cart: Cart, id: String = "h1") throws -> HalfMessage {
    HalfMessage(id: id, message: try message(cart).message(topic: topic), sentAtMs: 1000)
  }

  static func record(
    _ purchase: Purchase,
    _ state: PurchaseState,
    user: UserID? = nil,
    quantity: Int64? = nil
  ) -> PurchaseRecord {
    PurchaseRecord(
      token: purchase.token,
      user: user ?? purchase.user,
      quantity: quantity ?? purchase.quantity,
      state: state,
      sequence: 4,
      timestampMs: 1000,
      expiresMs: state == .held ? 121_000 : nil
    )
  }
}
