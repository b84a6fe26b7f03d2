import Messaging
import Orders
import Stock

@testable import Doorbuster

/// Values that the transcripts are made of.
enum Sample {
  static let topic = Topic("doorbuster.purchases")

  static func sku(_ text: String = "shoe") throws -> SKU { try SKU(text) }

  static func purchase(
    _ token: String = "t1",
    user: String = "ann",
    quantity: Int64 = 2,
    sku: String = "shoe"
  ) throws -> Purchase {
    try Purchase(sku: SKU(sku), user: UserID(user), token: Token(token), quantity: quantity)
  }

  static func message(_ purchase: Purchase, bucket: Int = 0, createdAtMs: Int64 = 1000) -> Message {
    PurchaseMessage(purchase: purchase, bucket: bucket, createdAtMs: createdAtMs).message(topic: topic)
  }

  static func order(_ purchase: Purchase, bucket: Int = 0, sequence: Int64? = nil, createdAtMs: Int64 = 1000) -> Order {
    Order(purchase: purchase, bucket: bucket, sequence: sequence, createdAtMs: createdAtMs)
  }

  static func half(_ purchase: Purchase, id: String = "h1") -> HalfMessage {
    HalfMessage(id: id, message: message(purchase), sentAtMs: 1000)
  }

  static func delivery(_ purchase: Purchase, id: String, bucket: Int = 0) -> Delivery {
    Delivery(id: id, message: message(purchase, bucket: bucket), failures: 0, isRedelivery: false)
  }

  static func bucket(_ index: Int = 0) throws -> BucketID { BucketID(sku: try sku(), index: index) }

  static func event(
    _ sequence: Int64,
    _ action: StockAction,
    _ token: String? = nil,
    user: String? = nil,
    change: Int64 = 0,
    at timestampMs: Int64 = 1000
  ) -> StockEvent {
    StockEvent(
      sequence: sequence,
      action: action,
      token: token.map { Array($0.utf8) },
      user: user.map { Array($0.utf8) },
      change: change,
      from: 100,
      to: 100 + change,
      timestampMs: timestampMs
    )
  }

  static let stockGone = StockError(.unavailable, "the server can't be reached")
  static let stockSilent = StockError(.replyLost, "the reply was lost")
  static let brokerGone = MessagingError(.unavailable, "the broker can't be reached")
  static let brokerSilent = MessagingError(.replyLost, "the broker's answer was lost")
  static let databaseGone = OrderStoreError(.unavailable, "the database can't be reached")
}
