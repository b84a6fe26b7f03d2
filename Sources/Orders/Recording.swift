/// An order as one caller wants it recorded; see ``OrderStore/record(_:as:rejecting:)``.
package struct Recording: Sendable {
  package var order: Order
  package var state: OrderState
  package var rejecting: Bool

  package init(order: Order, state: OrderState, rejecting: Bool) {
    self.order = order
    self.state = state
    self.rejecting = rejecting
  }
}
