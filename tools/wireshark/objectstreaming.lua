-- Wireshark: frames of objectstreaming, each in the packet in which its last byte came.
--
-- Install: copy this file into the folder "Personal Lua Plugins" (Help > About Wireshark > Folders), or try it with
--   tshark -X lua_script:objectstreaming.lua -r capture.pcap -Y objstream -T fields -e objstream.kind -e objstream.gap
--
-- It reads HTTP/1.1 (chunked, with a length, or until the connection closes) with the content type
-- application/vnd.objectstreaming, WebSocket with the subprotocol objectstreaming.v1 in both directions, and plain TCP
-- on the ports of its preference. It does not read TLS or HTTP/2.
--
-- Why it follows TCP itself: the HTTP dissector waits for the last chunk, so that its subdissectors see a stream late,
-- without times, and a stream that was cut not at all. This is a post-dissector: it sees each segment when it came.
--
-- No `bit` library and no integer division: Wireshark has Lua 5.2 up to 4.2, and 5.4 after that.

local proto = Proto("objstream", "objectstreaming")

local KINDS = { open = true, ping = true, ["end"] = true }
local MAX_FRAME = 16 * 1024 * 1024 -- SPEC section 2.4
local MAX_HEADER = 64 * 1024
local MAX_HEAD = 64 * 1024 -- of an HTTP message, or of a line in it
local MAX_WAITING = 4 * 1024 * 1024 -- of segments that came before one that is missing

local f = {
  index = ProtoField.uint32("objstream.index", "Frame", base.DEC, nil, nil, "Counts from 0, control frames included"),
  kind = ProtoField.string("objstream.kind", "Kind"),
  size = ProtoField.uint32("objstream.size", "Size (T)"),
  header = ProtoField.string("objstream.header", "Header"),
  payload = ProtoField.uint32("objstream.payload_size", "Payload size"),
  gap = ProtoField.double("objstream.gap", "Seconds since the frame before"),
  first = ProtoField.double("objstream.first", "Seconds from the request to the first data frame"),
  code = ProtoField.string("objstream.code", "Error code"),
}
proto.fields = { f.index, f.kind, f.size, f.header, f.payload, f.gap, f.first, f.code }

local broken = ProtoExpert.new("objstream.broken", "The stream is broken", expert.group.MALFORMED, expert.severity.ERROR)
local failed =
  ProtoExpert.new("objstream.failed", "The stream ended with an error", expert.group.RESPONSE_CODE, expert.severity.WARN)
proto.experts = { broken, failed }

proto.prefs.ports = Pref.range("TCP ports", "", "Ports on which streams come without HTTP", 65535)

local tcp_stream = Field.new("tcp.stream")
local tcp_seq = Field.new("tcp.seq")
local tcp_payload = Field.new("tcp.payload")
local tcp_syn = Field.new("tcp.flags.syn")
local tcp_fin = Field.new("tcp.flags.fin")
local tcp_reset = Field.new("tcp.flags.reset")

-- ------------------------------------------------------------------------------------------------------- bytes

-- Bytes that came and are not used yet. Joined only when there are enough, so that no byte is copied often.
local Bytes = {}
Bytes.__index = Bytes

function Bytes.new()
  return setmetatable({ parts = {}, at = 1, size = 0 }, Bytes)
end

function Bytes:add(data)
  self.parts[#self.parts + 1] = data
  self.size = self.size + #data
end

function Bytes:peek(count)
  if self.size < count then
    return nil
  end
  if #self.parts > 1 then
    self.parts[1] = self.parts[1]:sub(self.at)
    self.parts = { table.concat(self.parts) }
    self.at = 1
  end
  return (self.parts[1] or ""):sub(self.at, self.at + count - 1)
end

function Bytes:take(count)
  local data = self:peek(count)
  if data then
    self.at = self.at + count
    self.size = self.size - count
    if self.size == 0 then
      self.parts, self.at = {}, 1
    end
  end
  return data
end

-- All up to and including `mark`; nil if it has not come, false if there is more than `limit` without it.
function Bytes:upto(mark, limit)
  local data = self:peek(math.min(self.size, limit))
  local _, last = data:find(mark, 1, true)
  if last then
    return self:take(last)
  end
  if self.size >= limit then
    return false
  end
  return nil
end

local function little(data, at)
  local a, b, c, d = data:byte(at, at + 3)
  return a + b * 256 + c * 65536 + d * 16777216
end

local XOR = {} -- of two numbers of four bits
for a = 0, 15 do
  XOR[a] = {}
  for b = 0, 15 do
    local bits, x, y, value = 0, a, b, 1
    for _ = 1, 4 do
      if x % 2 ~= y % 2 then
        bits = bits + value
      end
      x, y, value = (x - x % 2) / 2, (y - y % 2) / 2, value * 2
    end
    XOR[a][b] = bits
  end
end

local function unmask(data, mask, offset)
  local out = {}
  for at = 1, #data do
    local a, b = data:byte(at), mask[(offset + at - 1) % 4 + 1]
    local low_a, low_b = a % 16, b % 16
    out[at] = string.char(XOR[(a - low_a) / 16][(b - low_b) / 16] * 16 + XOR[low_a][low_b])
  end
  return table.concat(out)
end

-- ------------------------------------------------------------------------------------------------------ frames

-- The frames of one stream. `requires_end`: without its end frame it was cut.
local function new_frames(began, requires_end)
  return { bytes = Bytes.new(), index = 0, data = 0, began = began, requires_end = requires_end }
end

-- A time in whole microseconds, as captures have them.
local function exact(seconds)
  return math.floor(seconds * 1000000 + 0.5) / 1000000
end

local function tell(packet, text)
  packet[#packet + 1] = { broken = text }
end

local function fail(frames, packet, text)
  if not frames.dead then
    frames.dead = true
    tell(packet, text)
  end
end

local function read_frame(frames, packet, time)
  local bytes = frames.bytes
  local word = bytes:peek(4)
  if not word then
    return false
  end
  local total = little(word, 1)
  if total < 8 then
    fail(frames, packet, "invalid_length: T is " .. total)
    return false
  elseif total > MAX_FRAME then
    fail(frames, packet, "frame_too_large: T is " .. total)
    return false
  end
  local words = bytes:peek(8)
  if not words then
    return false
  end
  local size = little(words, 5)
  if size > total - 8 then
    fail(frames, packet, "invalid_length: H is " .. size .. ", T is " .. total)
    return false
  elseif size > MAX_HEADER then
    fail(frames, packet, "header_too_large: H is " .. size)
    return false
  end
  local wire = bytes:take(total)
  if not wire then
    return false
  end
  local header = wire:sub(9, 8 + size)
  local frame = { index = frames.index, size = total, header = header, payload = total - 8 - size, kind = "data" }
  if frames.last then
    frame.gap = exact(time - frames.last)
  end
  frames.last = time
  frames.index = frames.index + 1
  packet[#packet + 1] = frame
  if frames.ended then
    fail(frames, packet, "frame_after_end")
  end
  if header:sub(1, 11) == '{"$stream":' then
    local kind = header:match('"type"%s*:%s*"([^"]*)"')
    frame.kind = KINDS[kind] and kind or "other"
    frames.requires_end = true
  else
    frames.data = frames.data + 1
    if frames.data == 1 and frames.began then
      frame.first = exact(time - frames.began)
    end
  end
  if frame.kind == "end" then
    frames.ended = true
    local count = tonumber(header:match('"frames"%s*:%s*(%d+)'))
    frame.code = header:match('"error"%s*:%s*{.-"code"%s*:%s*"([%w_]+)"')
    if count ~= frames.data then
      fail(frames, packet, "count_mismatch: " .. tostring(count) .. " data frames were sent, " .. frames.data .. " came")
    end
  end
  return not frames.dead
end

local function feed(frames, data, packet, time)
  if frames.dead or #data == 0 then
    return
  end
  frames.bytes:add(data)
  while read_frame(frames, packet, time) do
  end
end

-- No more bytes will come.
local function finish(frames, packet)
  if frames.dead then
    return
  end
  if frames.bytes.size > 0 then
    fail(frames, packet, "truncated_frame: the stream was cut inside frame " .. frames.index)
  elseif frames.requires_end and not frames.ended then
    fail(frames, packet, "stream_incomplete: the stream was cut after " .. frames.data .. " data frames")
  end
  frames.dead = true
end

-- ------------------------------------------------------------------------------------- what frames come in

-- Each reader takes what it can of side.bytes and says whether to go on: with side.read, which it may have changed.
local read_head, read_chunk_size, read_body, read_message, read_rest

local function headers_of(head)
  local found = {}
  for name, value in head:gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    name = name:lower()
    found[name] = found[name] and (found[name] .. "," .. value) or value
  end
  return found
end

local function ignore(side)
  side.read, side.bytes, side.frames = nil, Bytes.new(), nil
  return false
end

local function next_message(side, packet)
  if side.frames then
    finish(side.frames, packet)
  end
  side.frames, side.read = nil, read_head
  return true
end

function read_head(side, packet, time)
  local head = side.bytes:upto("\r\n\r\n", MAX_HEAD)
  if head == nil then
    local start = side.bytes:peek(math.min(side.bytes.size, 5))
    if not (start:match("^%u+ ?$") or ("HTTP/1"):sub(1, #start) == start or start:match("^%u+ /?%S*$")) then
      return ignore(side) -- not HTTP
    end
    return false
  end
  local status = head and tonumber(head:match("^HTTP/1%.%d (%d%d%d)"))
  local method = head and head:match("^(%u+) %S+ HTTP/1%.%d\r\n")
  if not status and not method then
    return ignore(side)
  end
  local headers = headers_of(head)
  if method then
    side.asked, side.method = time, method
  end
  if status == 101 then
    if (headers["sec-websocket-protocol"] or ""):find("objectstreaming.v1", 1, true) then
      for _, one in ipairs({ side, side.other }) do
        one.read, one.frames = read_message, new_frames(one == side and side.other.asked or nil, false)
      end
      return true
    end
    ignore(side.other)
    return ignore(side)
  elseif status and status < 200 then
    return true
  end
  local ours = (headers["content-type"] or ""):lower():find("application/vnd.objectstreaming", 1, true)
  local bodiless = status and (status == 204 or status == 304 or side.other.method == "HEAD")
  local length = tonumber(headers["content-length"])
  if ours and not bodiless then
    side.frames = new_frames(status and side.other.asked or time, status ~= nil)
  end
  if bodiless then
    return next_message(side, packet)
  elseif (headers["transfer-encoding"] or ""):lower():find("chunked", 1, true) then
    side.read = read_chunk_size
  elseif length then
    side.left, side.read, side.after = length, read_body, next_message
  elseif status then
    side.read = read_rest
  end
  return true
end

local function read_trailer(side, packet)
  local line = side.bytes:upto("\r\n", MAX_HEAD)
  if line == nil then
    return false
  elseif line == false then
    return ignore(side)
  end
  return line ~= "\r\n" or next_message(side, packet)
end

local function chunk_end(side)
  side.read = function()
    if side.bytes:take(2) then
      side.read = read_chunk_size
      return true
    end
    return false
  end
  return true
end

function read_chunk_size(side)
  local line = side.bytes:upto("\r\n", MAX_HEAD)
  local size = line and tonumber(line:match("^%x+") or "", 16)
  if line == nil then
    return false
  elseif not size then
    return ignore(side)
  end
  if size == 0 then
    side.read = read_trailer
  else
    side.left, side.read, side.after = size, read_body, chunk_end
  end
  return true
end

function read_body(side, packet, time)
  local data = side.bytes:take(math.min(side.bytes.size, side.left))
  side.left = side.left - #data
  if side.frames then
    feed(side.frames, side.mask and unmask(data, side.mask, side.masked) or data, packet, time)
  end
  side.masked = (side.masked or 0) + #data
  return side.left == 0 and side.after(side, packet) or false
end

function read_rest(side, packet, time)
  local data = side.bytes:take(side.bytes.size)
  if side.frames then
    feed(side.frames, data, packet, time)
  end
  return false
end

-- A WebSocket's message, or a piece of one (RFC 6455, section 5.2). A frame of ours may begin in one and end in another.
function read_message(side)
  local start = side.bytes:peek(2)
  if not start then
    return false
  end
  local first, second = start:byte(1, 2)
  local masked, length = second >= 128, second % 128
  local extended = length == 126 and 2 or length == 127 and 8 or 0
  local head = side.bytes:take(2 + extended + (masked and 4 or 0))
  if not head then
    return false
  end
  if extended > 0 then
    length = 0
    for at = 3, 2 + extended do
      length = length * 256 + head:byte(at)
    end
  end
  local opcode, frames = first % 16, side.frames
  side.mask = masked and { head:byte(-4, -1) } or nil
  side.masked, side.left, side.read = 0, length, read_body
  if opcode > 2 then
    side.frames = nil -- ping, pong, close: no bytes of ours
  end
  side.after = function()
    side.frames, side.read = frames, read_message
    return true
  end
  return true
end

-- -------------------------------------------------------------------------------------------------- connections

local connections, packets = {}, {}

function proto.init()
  connections, packets = {}, {}
end

local function in_range(ports, port)
  for low, high in tostring(ports):gmatch("(%d+)%-?(%d*)") do
    if port >= tonumber(low) and port <= (tonumber(high) or tonumber(low)) then
      return true
    end
  end
  return false
end

local function connection_of(stream, pinfo, time)
  local connection = connections[stream]
  if not connection then
    local plain = in_range(proto.prefs.ports, pinfo.src_port) or in_range(proto.prefs.ports, pinfo.dst_port)
    local function new_side()
      local side = { bytes = Bytes.new(), waiting = {}, held = 0, read = read_head }
      if plain then
        side.read, side.frames = read_rest, new_frames(time, false)
      end
      return side
    end
    local a, b = new_side(), new_side()
    a.other, b.other = b, a
    connection = { from = tostring(pinfo.src) .. ":" .. pinfo.src_port, [true] = a, [false] = b }
    connections[stream] = connection
  end
  return connection[connection.from == tostring(pinfo.src) .. ":" .. pinfo.src_port]
end

local function use(side, data, packet, time)
  if side.read then
    side.bytes:add(data)
    while side.read and side.read(side, packet, time) do
    end
  end
end

-- Bring segments into order: each byte once, whatever was sent again or came early.
local function receive(side, seq, data, packet, time)
  side.next = side.next or seq
  if seq > side.next then
    if side.held + #data <= MAX_WAITING then
      side.waiting[#side.waiting + 1] = { seq = seq, data = data }
      side.held = side.held + #data
    end
    return
  end
  if seq + #data > side.next then
    local new = data:sub(side.next - seq + 1)
    side.next = seq + #data
    use(side, new, packet, time)
  end
  for at, early in ipairs(side.waiting) do
    if early.seq <= side.next then
      table.remove(side.waiting, at)
      side.held = side.held - #early.data
      return receive(side, early.seq, early.data, packet, time)
    end
  end
end

local function close(side, packet)
  if side.frames and not side.closed then
    finish(side.frames, packet)
  end
  side.closed = true
end

local function look(pinfo, packet)
  local time = tonumber(tostring(pinfo.abs_ts))
  local side = connection_of(tcp_stream().value, pinfo, time)
  local seq, payload = tcp_seq().value, tcp_payload()
  if tcp_syn() and tcp_syn().value then
    side.next = seq + 1
  end
  if payload then
    receive(side, seq, payload.range:raw(), packet, time)
  end
  if tcp_fin() and tcp_fin().value then
    close(side, packet)
  elseif tcp_reset() and tcp_reset().value then
    close(side, packet)
    close(side.other, packet)
  end
end

-- ------------------------------------------------------------------------------------------------------ showing

local function show_frame(tree, frame)
  local item = tree:add(proto, "objectstreaming frame " .. frame.index .. ", " .. frame.kind)
  item:add(f.index, frame.index)
  item:add(f.kind, frame.kind)
  item:add(f.size, frame.size)
  item:add(f.header, frame.header)
  item:add(f.payload, frame.payload)
  if frame.gap then
    item:add(f.gap, frame.gap)
  end
  if frame.first then
    item:add(f.first, frame.first)
  end
  if frame.code then
    item:add(f.code, frame.code)
    item:add_proto_expert_info(failed, "The stream ended with an error: " .. frame.code)
  end
end

function proto.dissector(tvb, pinfo, tree)
  if not tcp_stream() then
    return
  end
  if not pinfo.visited then
    local packet = {}
    look(pinfo, packet)
    packets[pinfo.number] = #packet > 0 and packet or nil
  end
  local kinds = {}
  for _, found in ipairs(packets[pinfo.number] or {}) do
    if found.broken then
      local item = tree:add(proto, "objectstreaming: " .. found.broken)
      item:add(f.code, found.broken:match("^[%w_]+"))
      item:add_proto_expert_info(broken, found.broken)
      kinds[#kinds + 1] = found.broken:match("^[%w_]+")
    else
      show_frame(tree, found)
      kinds[#kinds + 1] = found.kind
    end
  end
  if #kinds > 0 then
    pinfo.cols.info:append(" [objectstreaming: " .. table.concat(kinds, ", ") .. "]")
  end
end

register_postdissector(proto)
