import MySQLStore
import Orders
import Testing

@Suite("URLs of MySQL servers")
struct MySQLURLTests {
  @Test("Every part is read")
  func parts() throws {
    let url = try MySQLURL("mysql://an%40n:p%3Aw%2F@[::1]:3307/shop?tls=verify&ca=/ca.pem&cert=/c.pem&key=/k.pem")
    #expect(url.endpoint == .tcp(host: "::1", port: 3307))
    #expect(url.user == "an@n" && url.password == "p:w/" && url.database == "shop")
    #expect(url.tls == .verify && url.authority == "/ca.pem" && url.certificate == "/c.pem" && url.key == "/k.pem")
    let plain = try MySQLURL("mysql://ann@db.example/shop")
    #expect(plain.endpoint == .tcp(host: "db.example", port: 3306))
    #expect(plain.password == nil && plain.tls == .off && plain.authority == nil)
    #expect(try MySQLURL("MySQL://ann:@h/shop").password == "")
    for text in ["mysql://ann@/shop?socket=/run/my.sock", "mysql://ann@localhost/shop?socket=%2Frun/my.sock"] {
      #expect(try MySQLURL(text).endpoint == .unix(path: "/run/my.sock"))
    }
  }

  @Test(
    "A wrong part is named, and nothing that may be a password is repeated",
    arguments: [
      ("ann:hunter2", "expected mysql://"), ("mariadb://ann:hunter2@h/shop", "scheme"),
      ("mysql://h/shop", "user is missing"), ("mysql://ann:hunter2@h", "database"),
      ("mysql://ann:hunter2@h/", "database"), ("mysql://ann:hunter2@h/a/b", "database"),
      ("mysql://ann:hunter2@/shop", "host is missing"), ("mysql://ann:hunter2@h:0/shop", "port \"0\""),
      ("mysql://ann:hunter2@h:hunter2hunter2hunter2/shop", "port \"…\""), ("mysql://ann:hunter2@[::1/shop", "host"),
      ("mysql://ann:hunter2@[::1]x/shop", "host"), ("mysql://ann:hunter2@h h/shop", "blank"),
      ("mysql://ann:hunter2%@h/shop", "password"), ("mysql://ann:hunter2@h/shop#x", "%23"),
      ("mysql://ann:hunter2@h/shop?ssl=1", "unknown part \"ssl\""), ("mysql://ann:hunter2@h/shop?tls=on", "tls"),
      ("mysql://ann:hunter2@h/shop?ca=/x", "ca needs tls"),
      ("mysql://ann:hunter2@h/shop?tls=verify&key=/x", "together"),
      ("mysql://ann:hunter2@h/shop?socket=/x", "both"), ("mysql://ann:hunter2@/shop?socket=x", "absolute"),
      ("mysql://ann:hunter2@h/shop?tls=off&tls=off", "twice"), ("mysql://ann:hunter2@h/%ff", "UTF-8"),
    ]
  )
  func wrong(text: String, part: String) {
    do throws(OrderStoreError) {
      _ = try MySQLURL(text)
      Issue.record("\(text) was taken")
    } catch {
      #expect(error.code == .refused)
      #expect(error.message.contains(part), "\(error.message)")
      #expect(!error.message.contains("hunter2"))
    }
  }

  @Test("No description holds the password")
  func descriptions() throws {
    let url = try MySQLURL("mysql://ann:hunter2@h:1/shop")
    var dumped = ""
    dump(url, to: &dumped)
    for text in ["\(url)", String(reflecting: url), dumped, "\([url])"] {
      #expect(text.contains("mysql://h:1/shop"))
      #expect(!text.contains("hunter2") && !text.contains("ann"))
    }
  }
}
