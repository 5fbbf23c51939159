-- Somebody wants to come in. Returns what became of it, and the room.

local mine = said.member
if said.expires then expire() end

local outcome = 'admitted'
local held = room.members[mine.peer_id]
if room.count > 0 and room.tag ~= said.judged then
  outcome = 'outdated'
elseif room.count > 0 and not held and room.count >= said.capacity then
  outcome = 'full'
else
  if room.count == 0 then
    room.tag, room.policy = said.founding.tag, said.founding.text
  end
  if held then
    if not held.away then mine.name = held.name end
    mine.moderates = held.moderates
    mine.invited_until = mine.invited_until or held.invited_until
    mine.order = held.order
  else
    mine.order = room.order + 1
  end
  put(mine)
  changed = true
end
return { outcome, finish(mine.server, {}) }
