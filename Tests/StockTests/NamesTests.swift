import Stock
import Testing

@Suite struct SKUTests {
  @Test("An SKU takes every character of its alphabet")
  func takesItsAlphabet() throws {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"
    for character in alphabet {
      #expect(try SKU(String(character)).text == String(character))
    }
  }

  @Test("An SKU refuses every other byte")
  func refusesEverythingElse() {
    let alphabet = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-".unicodeScalars)
    for value in UInt32(0)...0xFF {
      guard let scalar = Unicode.Scalar(value), !alphabet.contains(scalar) else { continue }
      #expect(throws: InvalidInput.self, "scalar \(value)") { try SKU("a\(Character(scalar))b") }
    }
  }

  @Test("An SKU has 1 to 64 characters")
  func hasBounds() throws {
    #expect(throws: InvalidInput.self) { try SKU("") }
    #expect(try SKU("x").text == "x")
    #expect(try SKU(String(repeating: "x", count: 64)).text.utf8.count == 64)
    #expect(throws: InvalidInput.self) { try SKU(String(repeating: "x", count: 65)) }
  }

  @Test("A refused SKU is named, shown and told what it must be")
  func explainsItself() {
    let error = #expect(throws: InvalidInput.self) { try SKU("a{b}\n") }
    #expect(error?.description == #"SKU is 'a{b}\x0A'; it must be 1 to 64 characters of A-Z a-z 0-9 . _ : -"#)
  }
}

@Suite struct TokenAndUserTests {
  @Test("A token and a user have 1 to 128 bytes", arguments: [(0, false), (1, true), (128, true), (129, false)])
  func haveBounds(length: Int, isAllowed: Bool) {
    let bytes = [UInt8](repeating: 0xC3, count: length)
    #expect(((try? Token(bytes: bytes)) != nil) == isAllowed)
    #expect(((try? UserID(bytes: bytes)) != nil) == isAllowed)
  }

  @Test("A transfer's name has 1 to 192 bytes", arguments: [(0, false), (1, true), (192, true), (193, false)])
  func transferNames(length: Int, isAllowed: Bool) {
    #expect(((try? TransferName(bytes: [UInt8](repeating: 0xC3, count: length))) != nil) == isAllowed)
  }

  @Test("A token of 129 bytes is refused by name, and shown no longer than 80 bytes")
  func longTokensAreShortened() {
    let error = #expect(throws: InvalidInput.self) { try Token(String(repeating: "t", count: 129)) }
    #expect(error?.argument == "token")
    #expect(error?.value == String(repeating: "t", count: 80) + "…")
    #expect(error?.requirement == "1 to 128 bytes; it has 129")
  }

  @Test("Bounds count bytes, not characters")
  func boundsCountBytes() {
    #expect((try? UserID(String(repeating: "é", count: 64))) != nil)
    #expect((try? UserID(String(repeating: "é", count: 65))) == nil)
  }

  @Test("Tokens and users compare as bytes: no case, blank or Unicode form is folded")
  func compareAsBytes() throws {
    #expect(try Token("abc") != Token("ABC"))
    #expect(try Token("abc") != Token("abc "))
    // U+00E9 and e + U+0301 are equal as Swift strings.
    #expect(try UserID("\u{E9}") != UserID("e\u{301}"))
  }

  @Test("A description shows bytes that don't print as hexadecimal")
  func describesUnprintableBytes() throws {
    #expect(try Token(bytes: [0x61, 0x00, 0x5C, 0xFF]).description == #"a\x00\\\xFF"#)
  }
}

@Suite struct PurchaseTests {
  @Test("A purchase's quantity is 1 to 2^53", arguments: [1, 2, (1 << 53) - 1, 1 << 53] as [Int64])
  func takesQuantitiesInBounds(quantity: Int64) throws {
    let purchase = try Purchase(sku: SKU("X"), user: UserID("u"), token: Token("t"), quantity: quantity)
    #expect(purchase.quantity == quantity)
  }

  @Test("Other quantities are refused", arguments: [.min, -1, 0, (1 << 53) + 1, .max] as [Int64])
  func refusesQuantitiesOutOfBounds(quantity: Int64) {
    let error = #expect(throws: InvalidInput.self) {
      try Purchase(sku: SKU("X"), user: UserID("u"), token: Token("t"), quantity: quantity)
    }
    #expect(error?.argument == "quantity")
    #expect(error?.value == String(quantity))
  }
}
