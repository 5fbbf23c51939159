-- A server states its part of a room. Returns the room, or nothing where it is as the server knows it.

if said.expires then expire() end

local refused = false
local stated = {}
local compared = { 'server', 'name', 'away', 'moderates', 'invited_until', 'order', 'seated_at_ms' }
for _, mine in ipairs(said.members) do
  stated[mine.peer_id] = true
  local held = room.members[mine.peer_id]
  local elsewhere = held and held.server ~= mine.server and held.lease > now_ms
  local reached_here = held and held.away and not mine.away
  local later_here = held and mine.order == 0 and mine.seated_at_ms > held.seated_at_ms
  if elsewhere and not reached_here and not later_here then
    refused = true
  else
    if held then mine.order = held.order
    elseif mine.order == 0 then mine.order = room.order + 1 end
    for _, field in ipairs(compared) do
      if not held or held[field] ~= mine[field] then changed = true end
    end
    put(mine)
  end
end
for _, peer_id in ipairs(said.claiming) do stated[peer_id] = true end
for peer_id, held in pairs(room.members) do
  if held.server == said.server and not stated[peer_id] then drop(peer_id) end
end

local policy = said.policy
if policy and policy.tag ~= room.tag then
  if room.tag and room.tag ~= said.base then
    refused = true
  else
    room.tag, room.policy = policy.tag, policy.text
    changed = true
  end
end

local state = finish(said.server, said.left)
if refused or room.version ~= said.known then return state end
return false
