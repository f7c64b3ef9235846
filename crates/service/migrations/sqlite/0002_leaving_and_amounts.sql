-- When the patient last left the waiting room, when they were called in, and what the visit came to when it ended: a price
-- list that changes afterwards changes no visit.
ALTER TABLE consultation_sessions ADD COLUMN left_at INTEGER;
ALTER TABLE consultation_sessions ADD COLUMN admitted_at INTEGER;
ALTER TABLE consultation_sessions ADD COLUMN amount_charged TEXT;
ALTER TABLE consultation_sessions ADD COLUMN currency TEXT;
