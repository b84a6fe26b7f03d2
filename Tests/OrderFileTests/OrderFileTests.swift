import OrderFile
import Stock
import Testing

@Suite struct OrderFileTests {
  func lines(_ text: String) throws -> [OrderFile.Line] { Array(try OrderFile(Array(text.utf8))) }

  func purchase(_ token: String, _ user: String, _ product: String, _ quantity: Int64) throws -> Purchase {
    try Purchase(sku: SKU(product), user: UserID(user), token: Token(token), quantity: quantity)
  }

  @Test(
    "LF, CRLF, a missing last line end, a byte order mark and blank lines read the same",
    arguments: [
      "token,user,product,quantity\nt1,u1,cd,2\nt2,u2,cd,1\n",
      "token,user,product,quantity\r\nt1,u1,cd,2\r\nt2,u2,cd,1\r\n",
      "token,user,product,quantity\nt1,u1,cd,2\nt2,u2,cd,1",
      "\u{FEFF}token,user,product,quantity\nt1,u1,cd,2\nt2,u2,cd,1",
    ]
  )
  func lineEnds(text: String) throws {
    #expect(
      try lines(text) == [
        .purchase(purchase("t1", "u1", "cd", 2), line: 2), .purchase(purchase("t2", "u2", "cd", 1), line: 3),
      ]
    )
  }

  @Test("columns may stand in any order, and others are ignored")
  func columnOrder() throws {
    #expect(
      try lines("date,quantity,product,user,token\n1997,3,cd,u,t\n") == [
        .purchase(purchase("t", "u", "cd", 3), line: 2)
      ]
    )
  }

  @Test("quoted fields keep commas, quotes and line breaks, and lines are still counted")
  func quotedFields() throws {
    #expect(
      try lines("token,user,product,quantity\n\"a,\"\"b\"\"\nc\",\"u\",cd,1\r\nt,u,cd,1\n") == [
        .purchase(purchase("a,\"b\"\nc", "u", "cd", 1), line: 2), .purchase(purchase("t", "u", "cd", 1), line: 4),
      ]
    )
  }

  @Test(
    "a bad line is named and costs nothing but itself",
    arguments: [
      ("t,u,cd", "it has 3 fields; the header has 4"),
      ("t,u,cd,1,x", "it has 5 fields; the header has 4"),
      ("t,u,cd,0", "quantity is '0'"), ("t,u,cd,-1", "quantity is '-1'"), ("t,u,cd,+1", "quantity is '+1'"),
      ("t,u,cd,1e3", "quantity is '1e3'"), ("t,u,cd, 1", "quantity is ' 1'"), ("t,u,cd,01", "quantity is '01'"),
      ("t,u,cd,9007199254740993", "quantity is '9007199254740993'"), ("t,u,cd,", "quantity is ''"),
      (",u,cd,1", "token is ''"), ("t,,cd,1", "user is ''"), ("t,u,c d,1", "SKU is 'c d'"), ("t,u,,1", "SKU is ''"),
      (String(repeating: "t", count: 129) + ",u,cd,1", "it has 129"),
      ("t\"x,u,cd,1", "field 1 has a quote but does not begin with one"),
      ("\"t\"x,u,cd,1", "field 1 goes on after its closing quote"),
      ("\"t,u,cd,1", "a quoted field is not closed"),
    ]
  )
  func badLine(line: String, reason: String) throws {
    let read = try lines("token,user,product,quantity\n\(line)\nt2,u2,cd,1\n")
    #expect(try read.last == .purchase(purchase("t2", "u2", "cd", 1), line: 3))
    guard case .bad(2, let said) = read.first else {
      Issue.record("line 2 was read as \(String(describing: read.first))")
      return
    }
    #expect(said.contains(reason))
    #expect(read.count == 2)
  }

  @Test("an overlong record is one bad line")
  func overlongRecord() throws {
    let read = try lines("token,user,product,quantity\n\"" + String(repeating: "x", count: 70_000) + "\nt,u,cd,1\n")
    #expect(read.count == 2)
    #expect(try read.last == .purchase(purchase("t", "u", "cd", 1), line: 3))
  }

  @Test(
    "a file without its header is refused as a whole, and the error names the column",
    arguments: [
      ("", "empty"), ("token,user,product\nt,u,cd\n", "'quantity'"), ("t,u,cd,1\n", "'token'"),
      ("token,token,user,product,quantity\n", "more than one column 'token'"), ("\"token", "not closed"),
    ]
  )
  func header(text: String, culprit: String) {
    let error = #expect(throws: OrderFile.HeaderError.self) { try OrderFile(Array(text.utf8)) }
    #expect(error?.description.contains(culprit) == true)
  }

  @Test("a header is shown with its unprintable bytes escaped, as fields are")
  func headerBytes() {
    let bytes = Array("token,\u{1B}[2J\u{7}user,".utf8) + [0xFF, 0x00, 0x0A]
    let error = #expect(throws: OrderFile.HeaderError.self) { try OrderFile(bytes) }
    #expect(error?.description.contains("'token,\\x1B[2J\\x07user,\\xFF\\x00'") == true, "\(String(describing: error))")
    #expect(error?.description.utf8.allSatisfy { (0x20...0x7E).contains($0) } == true)
  }
}
