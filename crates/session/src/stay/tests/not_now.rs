//! A patient who is called in and needs a moment.

use super::*;

#[test]
fn whoever_says_not_now_waits_on_and_comes_when_they_are_ready() {
    let mut world = World::new(ConsultationMode::Video);
    world.enter(1).unwrap();
    world.input(1, StayInput::Ready(CHECK)).unwrap();
    world.calm().unwrap();
    world.enter(0).unwrap();
    for _ in 0..4 {
        world.step(&mut || Duration::from_millis(30), &mut || false).unwrap();
    }
    assert_eq!(world.screen(1), Some(Screen::CalledIn));
    world.input(1, StayInput::Decline).unwrap();
    assert_eq!(world.screen(1), Some(Screen::Waiting), "at once");
    assert!(!world.ends[1].as_ref().unwrap().1.call);
    world.calm().unwrap();
    let stay = &world.ends[1].as_ref().unwrap().0;
    assert_eq!((stay.screen, stay.is_ready()), (Screen::Waiting, false));
    assert!(world.service.consultation.waiting_since.is_some() && !world.service.consultation.ready);
    assert!(world.screen(0).is_none(), "the doctor is at home again");

    world.input(1, StayInput::Ready(CHECK)).unwrap();
    world.calm().unwrap();
    assert!(world.service.consultation.ready);
    world.enter(0).unwrap();
    world.step(&mut || Duration::ZERO, &mut || false).unwrap();
    world.step(&mut || Duration::ZERO, &mut || false).unwrap();
    assert_eq!(world.screen(1), Some(Screen::CalledIn));
    world.input(1, StayInput::Join).unwrap();
    world.calm().unwrap();
    assert_eq!([0, 1].map(|at| world.screen(at)), [Some(Screen::Call); 2]);
}
