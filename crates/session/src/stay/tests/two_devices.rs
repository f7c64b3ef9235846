//! One person on two devices.

use super::*;

/// A doctor, and a patient on two devices, both of which ring.
fn ringing_on_two() -> World {
    let mut world = World::new(ConsultationMode::Video);
    for at in [1, 2] {
        world.enter(at).unwrap();
        world.input(at, StayInput::Ready(CHECK)).unwrap();
        world.calm().unwrap();
    }
    world.enter(0).unwrap();
    world.calm().unwrap();
    assert_eq!([1, 2].map(|at| world.screen(at)), [Some(Screen::CalledIn); 2]);
    let calls = [1, 2].map(|at| world.ends[at].as_ref().unwrap().1.call);
    assert_eq!(calls, [false, true], "one of them prepares: the last that was pressed on");
    world
}

fn rings(world: &World, at: usize) -> usize {
    world.ends[at].as_ref().unwrap().1.rings
}

#[test]
fn answered_on_one_device_the_other_stops_ringing() {
    let mut world = ringing_on_two();
    world.input(1, StayInput::Join).unwrap();
    world.calm().unwrap();
    assert_eq!([1, 2].map(|at| world.screen(at)), [Some(Screen::Call), Some(Screen::Elsewhere)]);
    let before = rings(&world, 2);
    world.calm().unwrap();
    assert_eq!(rings(&world, 2), before);
    // Going away there changes nothing here.
    world.input(2, StayInput::Leave).unwrap();
    world.calm().unwrap();
    assert!(world.screen(2).is_none());
    assert!(world.service.consultation.patient_joined && world.ends[1].as_ref().unwrap().1.call);
}

#[test]
fn the_call_goes_where_it_was_last_taken_and_stays_there() {
    let mut world = ringing_on_two();
    world.input(1, StayInput::Join).unwrap();
    world.calm().unwrap();
    // "Take it back", on the other: its app enters anew.
    world.ends[2] = None;
    world.enter(2).unwrap();
    world.calm().unwrap();
    assert_eq!([1, 2].map(|at| world.screen(at)), [Some(Screen::Elsewhere), Some(Screen::Call)]);
    let calls = [1, 2].map(|at| world.ends[at].as_ref().unwrap().1.call);
    assert_eq!(calls, [false, true]);
    // Whatever links do from then on, nobody takes it back without a press.
    let changes = world.service.history.len();
    for at in [1, 2, 1] {
        world.input(at, StayInput::LinkUp).unwrap();
        world.calm().unwrap();
        assert_eq!([1, 2].map(|at| world.screen(at)), [Some(Screen::Elsewhere), Some(Screen::Call)]);
    }
    assert_eq!(world.service.history.len(), changes);
}
