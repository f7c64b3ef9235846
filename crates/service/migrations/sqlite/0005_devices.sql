-- Which of a side's devices has their place in the visit.
ALTER TABLE consultation_sessions ADD COLUMN patient_device TEXT;
ALTER TABLE consultation_sessions ADD COLUMN doctor_device TEXT;
-- The device that a media token was given to; none for one of before.
ALTER TABLE media_tokens ADD COLUMN device TEXT;
