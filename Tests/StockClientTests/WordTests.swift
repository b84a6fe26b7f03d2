import CStockABI
import Stock
import Testing

@testable import StockClient

/// The client's tables of words against the module's, which are in one C header.
@Suite struct WordTests {
  private func words<Case: RawRepresentable<UInt8>>(_ word: (Case) -> UnsafePointer<CChar>) -> Set<String> {
    Set((0...UInt8.max).compactMap(Case.init(rawValue:)).map { String(cString: word($0)) }.filter { !$0.isEmpty })
  }

  @Test("The client knows every status of the module, and no other than FROZEN, which only a frozen bucket answers")
  func statuses() {
    let module = words(stock_status_word)
    #expect(module.count >= 9)
    #expect(Set(StockStatus.allCases.map(\.rawValue)).symmetricDifference(module).isSubset(of: ["FROZEN"]))
  }

  @Test("Every status is read back from its bytes, and nothing that only looks like one is")
  func statusBytes() {
    func read(_ text: String) -> StockStatus? { Array(text.utf8).withUnsafeBytes { StockStatus(word: $0) } }
    for status in StockStatus.allCases {
      #expect(read(status.rawValue) == status)
      #expect(read(status.rawValue.lowercased()) == nil)
      #expect(read(status.rawValue + " ") == nil)
      #expect(read(String(status.rawValue.dropLast())) == nil)
    }
    #expect(read("") == nil)
  }

  @Test("The seam has every action and state of the module")
  func actionsAndStates() {
    let (actions, states) = (words(stock_action_word), words(stock_state_word))
    #expect(actions.count >= 6 && actions.isSubset(of: StockAction.allCases.map(\.rawValue)))
    #expect(states.count >= 2 && states.isSubset(of: PurchaseState.allCases.map(\.rawValue)))
  }

  @Test("The client has a code for every fault that a command can answer")
  func faults() {
    // What a damaged payload is told concerns RESTORE and replication, not this client.
    let others: Set = ["DAMAGED", "VERSION", "OUTOFSTEP"]
    let faults = words(stock_fault_code).subtracting(others)
    #expect(faults.count >= 5)
    for fault in faults {
      #expect(ServerError.meanings[fault] != nil, "\(fault)")
      #expect(ServerError.meanings[fault]?.code != .refused, "\(fault)")
    }
  }
}
